"""Decode against a million bodies that nobody would send on purpose, or that somebody would."""
