"""AWS services on loopback, in the shape of botocore's models, and LocalStack."""
