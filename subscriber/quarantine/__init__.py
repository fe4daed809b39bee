"""What an operator does with quarantined messages: look at them, and have them written after all."""
