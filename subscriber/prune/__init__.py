"""`subscriber prune`: deletes tombstones that no message can need any more, and messages that were replayed."""
