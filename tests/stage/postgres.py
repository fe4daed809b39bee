"""Real PostgreSQL for tests."""
