"""The dead-letter queues of the configured queues: list, show, redrive."""
