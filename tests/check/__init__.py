"""What `subscriber check` says: each mistake was made on purpose, and read."""
