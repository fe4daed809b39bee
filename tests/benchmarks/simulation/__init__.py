"""The simulator: its plant, its laws, and the scenarios with their ranges."""
