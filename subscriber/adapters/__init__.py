"""The only code that imports client libraries: SQS, PostgreSQL, database load, AWS and ECS."""
