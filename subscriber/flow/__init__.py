"""Mechanisms that the stages share: channel, limiter, leases, circuit breaker, backoff, release, shutdown."""
