"""Real queues for tests: LocalStack and the local queue server."""
