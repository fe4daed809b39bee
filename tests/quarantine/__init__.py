"""Tests of `subscriber quarantine`."""
