"""`subscriber quarantine`: list, show and replay the messages that could not become rows."""
