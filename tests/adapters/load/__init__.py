"""The sensors of the database's load."""
