"""What an operator sees: metrics, logs and the local HTTP pages."""
