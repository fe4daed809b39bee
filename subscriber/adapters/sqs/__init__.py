"""The SQS client: receive, delete, change visibility and attributes over one pool of connections."""
