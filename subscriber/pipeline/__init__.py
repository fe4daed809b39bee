"""The five rooms of the line and the line itself."""
