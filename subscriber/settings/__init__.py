"""What an operator may choose: read once from the environment, frozen, every mistake reported at once."""
