"""Real parts on this machine: PostgreSQL, queue server, LocalStack, load and oracle."""
