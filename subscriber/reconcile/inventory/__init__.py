"""What buckets hold, as files tell it: S3 Inventory, manifests of S3 Batch Operations, lists of keys."""
