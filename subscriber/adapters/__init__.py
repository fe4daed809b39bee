"""The doors to the outside: the only files that import a foreign client."""
