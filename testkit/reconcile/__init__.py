"""A simulated bucket that is listed while it changes, and an index that events and observations reach in any order."""
