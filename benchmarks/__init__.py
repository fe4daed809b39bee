"""Demo, load, local infrastructure and measurements."""
