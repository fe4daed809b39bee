"""Tests of the worker that asks S3 for metadata."""
