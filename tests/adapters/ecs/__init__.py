"""The ECS agent: who we are, and scale-in protection."""
