"""Backfill, reconciliation, and live events beside them: the real commands against the listing server."""
