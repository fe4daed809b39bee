"""Settings: read once from the environment, frozen, every mistake reported at once."""
