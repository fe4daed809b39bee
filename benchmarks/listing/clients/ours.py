"""The lister of this project: `python -m benchmarks.listing.clients.ours versions lake 8`; the number is of workers."""

from __future__ import annotations

import json
import sys
import time

import uvloop

from subscriber.adapters.s3.client import BucketOptions
from subscriber.adapters.s3.lister import BucketLister, ListerOptions
from subscriber.flow.request_budget import RequestLimits
from subscriber.model import KeyRange
from subscriber.reconcile.parallel_listing import ParallelListing, PartPage


async def _list(operation: str, bucket: str, workers: int) -> None:
    options = ListerOptions(
        BucketOptions(bucket),
        "ListObjectVersions" if operation == "versions" else "ListObjectsV2",
        limits=RequestLimits(at_once=workers, per_second=100_000.0),
    )
    entries = 0

    async def take(page: PartPage) -> None:
        nonlocal entries
        entries += len(page.entries)

    async with BucketLister(options) as lister:
        start, cpu = time.perf_counter(), time.process_time()
        await ParallelListing(lister, [KeyRange()], take).run(workers)
        figures = {"entries": entries, "seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
        print(json.dumps({**figures, "requests": sum(lister.requests.values())}))


if __name__ == "__main__":
    uvloop.run(_list(sys.argv[1], sys.argv[2], int(sys.argv[3])))
