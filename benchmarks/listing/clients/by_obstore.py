"""obstore, Rust's object_store for Python: `.lab/listing/bin/python by_obstore.py keys lake`. It lists no versions."""

from __future__ import annotations

import json
import os
import sys
import time

import obstore
from obstore.store import S3Store


def main() -> None:
    """List and print the figures."""
    bucket = sys.argv[2]
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    store = S3Store(bucket, endpoint=endpoint, client_options={"allow_http": True}, virtual_hosted_style_request=False)
    entries = 0
    start, cpu = time.perf_counter(), time.process_time()
    for chunk in obstore.list(store, chunk_size=1000):
        entries += len(chunk)
    figures = {"entries": entries, "seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
