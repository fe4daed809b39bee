"""Tests of `subscriber prune`."""
