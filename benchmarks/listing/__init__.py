"""Listing S3: our lister beside others, and readers of its XML."""
