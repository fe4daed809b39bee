"""Listings of S3 buckets."""
