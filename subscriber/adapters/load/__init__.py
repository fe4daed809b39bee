"""Sensors of database load, one source a file, all with the same protocol."""
