"""The only code that imports a foreign client: SQS, PostgreSQL, database load, AWS and ECS."""
