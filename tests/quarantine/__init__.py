"""What an operator does with quarantined messages."""
