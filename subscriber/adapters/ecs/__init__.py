"""The ECS container agent: task protection, and the identity of the task."""
