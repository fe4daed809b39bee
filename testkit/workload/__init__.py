"""What is sent: buckets that change, the events they emit, and the order a queue delivers them in."""
