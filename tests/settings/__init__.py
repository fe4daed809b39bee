"""Settings, the command line, logs, and what is printed from them."""
