"""The real lister with several workers against the listing server: hostile keys, deep stacks, faults."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest

from subscriber.adapters.s3 import attempts as attempts_module
from subscriber.adapters.s3 import client as client_module
from subscriber.adapters.s3.client import BucketOptions
from subscriber.adapters.s3.lister import BucketLister, ListerOptions
from subscriber.flow.backoff import Backoff
from subscriber.flow.request_budget import RequestLimits
from subscriber.model import KeyRange
from subscriber.reconcile.parallel_listing import ParallelListing, PartPage
from testkit.s3.faults import Fault, FaultKind
from testkit.s3.generated import GeneratedBucket, GeneratedPlan
from testkit.s3.launch import ListingServer
from tests.fixtures.aws import session_with_cached_models
from tests.fixtures.s3 import MakeBucket

PLAN = GeneratedPlan(keys=6_000, layout="mixed", keys_per_block=100, deep_versions=250)
FAULTS: tuple[FaultKind, ...] = ("slow_down", "internal_error", "error_in_200", "truncated", "cut_xml", "lost")


class PagesTaken:
    """Keeps the pages; holds the second one of the first part until another part has begun, if `is_shared`.

    Whoever lists that part stands still, so that idle workers come to cut it however fast it is. It is the second page,
    because only the end of the first one wakes them.
    """

    def __init__(self, *, is_shared: bool) -> None:
        self.pages: list[PartPage] = []
        self._is_shared = is_shared
        self._another = asyncio.Event()

    @property
    def is_divided(self) -> bool:
        """Whether more than one part was listed."""
        return self._another.is_set()

    async def __call__(self, page: PartPage) -> None:
        """Take a page."""
        if page.part != 0:
            self._another.set()
        self.pages.append(page)
        if self._is_shared and page.entries and any(each.part == 0 and each.entries for each in self.pages[:-1]):
            await self._another.wait()


@pytest.fixture(autouse=True)
def quick(aws_environment: pytest.MonkeyPatch, listing_server: ListingServer) -> None:
    """Retries come at once; the server is the one that AWS's variables name."""
    aws_environment.setenv("AWS_REGION", "us-east-1")
    aws_environment.setenv("AWS_ENDPOINT_URL_S3", listing_server.endpoint_url)
    aws_environment.setattr(attempts_module, "BACKOFF", Backoff(first_seconds=0.0, max_seconds=0.0, jitter=0.0))
    aws_environment.setattr(client_module, "session_with_region", session_with_cached_models)


@pytest.mark.parametrize("operation", ["ListObjectVersions", "ListObjectsV2"])
async def test_a_generated_bucket_is_listed_whole(
    serve_bucket: MakeBucket,
    listing_server: ListingServer,
    operation: Literal["ListObjectVersions", "ListObjectsV2"],
) -> None:
    """Each entry once and in order, whatever goes wrong on the way; one worker and four agree with the truth."""
    spec = serve_bucket(generated=PLAN, page_size=100)
    truth = sorted(
        (entry.key.decode(), place, "" if entry.version_id == "null" else entry.version_id)
        for place, entry in enumerate(GeneratedBucket(PLAN).entries(is_versions=operation == "ListObjectVersions"))
    )
    expected = [(key, version_id) for key, _, version_id in truth]
    for workers in (1, 4):
        listing_server.add_faults(*(Fault(kind, skip=number * 3) for number, kind in enumerate(FAULTS)))
        take = PagesTaken(is_shared=workers > 1)
        options = ListerOptions(BucketOptions(spec.name), operation, limits=RequestLimits(workers, 10_000.0))
        async with BucketLister(options) as lister:
            await ParallelListing(lister, [KeyRange()], take).run(workers)
        pages = sorted(take.pages, key=lambda page: page.keys.after)  # stable: the pages of one part are in order
        found = [(entry.key, entry.version_id) for page in pages for entry in page.entries]
        if operation == "ListObjectsV2":
            assert [key for key, _ in found] == [key for key, _ in expected]
        else:
            assert found == expected
        assert take.is_divided == (workers > 1)
