"""Mechanisms of the pipeline: channel, concurrency limiter, visibility leases, circuit breaker, backoff, shutdown."""
