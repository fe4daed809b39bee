"""The real plant of the governor: its arithmetic on made-up curves, its parts on a real server."""
