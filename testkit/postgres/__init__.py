"""A real PostgreSQL from a wheel, and PgBouncer in front of it."""
