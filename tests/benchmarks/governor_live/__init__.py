"""The live benchmark of the governor: its figures on synthetic series, its parts on a real server."""
