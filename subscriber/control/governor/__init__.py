"""The control law as a pure function: from readings to a concurrency limit and a batch size."""
