"""S3 event notifications from SQS into an object index in PostgreSQL."""
