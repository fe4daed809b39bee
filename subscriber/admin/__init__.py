"""The HTTP server for operators and orchestrators (livez, readyz, metrics, control), and its client."""
