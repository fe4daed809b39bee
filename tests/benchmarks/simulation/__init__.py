"""The simulator, the controllers that it compares, and the scenarios with their expected ranges."""
