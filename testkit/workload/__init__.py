"""Workloads: simulated buckets, the events they emit, and the messages in the order of delivery."""
