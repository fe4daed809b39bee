"""The stage every test may ask for: real PostgreSQL, real LocalStack, the local queue server."""

pytest_plugins = ["tests.stage.postgres", "tests.stage.queues"]
