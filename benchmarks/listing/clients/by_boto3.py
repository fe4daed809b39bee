"""boto3's paginator, as its guide shows it: `.lab/listing/bin/python by_boto3.py versions lake`."""

from __future__ import annotations

import json
import sys
import time

import boto3


def main() -> None:
    """List and print the figures."""
    operation, bucket = sys.argv[1:3]
    client = boto3.client("s3")
    paginator = client.get_paginator("list_object_versions" if operation == "versions" else "list_objects_v2")
    entries = 0
    start, cpu = time.perf_counter(), time.process_time()
    for page in paginator.paginate(Bucket=bucket):
        entries += sum(len(page.get(member, ())) for member in ("Versions", "DeleteMarkers", "Contents"))
    figures = {"entries": entries, "seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
