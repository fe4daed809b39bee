"""A listing server: enough of S3 to list buckets of any size, at little CPU, with faults on demand.

It serves ListObjectVersions and ListObjectsV2 of generated buckets, whose millions of keys are computed from a seed,
and of simulated buckets, whose events other tests send. It verifies signatures. A request passes, top to bottom:

    server.py       bytes to a request, an answer to bytes, with faults.py
    service.py      address, signature, operation
    listing.py      one page                    operations.py  buckets and single objects
    buckets.py      all buckets                 errors.py      S3's errors
    generated.py    computed contents, made of pools.py        live.py  contents that change
    contents.py     what a listing needs of a bucket           entries.py  the XML of one entry
    keys.py         hostile keys                inventory.py   inventories as S3 writes them

`launch.py` starts it from Python, `python -m testkit.s3` from a shell.
"""

from testkit.s3.buckets import BucketSpec
from testkit.s3.faults import Counts, Fault
from testkit.s3.generated import GeneratedPlan
from testkit.s3.launch import ListingServer, local_listing_server
from testkit.s3.server import ServedS3, serve

__all__ = [
    "BucketSpec",
    "Counts",
    "Fault",
    "GeneratedPlan",
    "ListingServer",
    "ServedS3",
    "local_listing_server",
    "serve",
]
