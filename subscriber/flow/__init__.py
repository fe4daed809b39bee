"""Mechanisms that know nothing of S3, SQS or SQL."""
