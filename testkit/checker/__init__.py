"""Checkers: they compare what was stored with what was sent, message by message and row by row."""
