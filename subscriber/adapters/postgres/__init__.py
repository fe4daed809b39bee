"""The index in PostgreSQL: connections, login, statements, migrations, and what a failure means."""
