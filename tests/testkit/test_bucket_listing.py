"""The listing of a simulated bucket behaves as S3's documentation says, page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import TypeAlias

import pytest

from subscriber.model import KeyRange, ListedVersion
from testkit.reconcile.listing import BucketListing
from testkit.workload.bucket import SimulatedBucket, Versioning


def bucket_with(versioning: Versioning) -> SimulatedBucket:
    """An empty bucket."""
    return SimulatedBucket("lake", Random(0), versioning=versioning)


Change: TypeAlias = Callable[[], None]


def unchanged() -> None:
    """No change."""


async def nothing() -> None:
    """Nothing happens between two pages."""


async def entries(
    bucket: SimulatedBucket, keys: KeyRange | None = None, *, versions: bool = True
) -> list[ListedVersion]:
    """Everything listed, in pages of one or two entries."""
    listing = BucketListing(bucket, Random(1), nothing, is_of_versions=versions, page_entries=2)
    return [entry async for page in listing.pages(keys or KeyRange()) for entry in page]


async def test_versions_come_newest_first_across_pages() -> None:
    """Keys in order, versions newest first; a delete marker has neither size nor ETag."""
    bucket = bucket_with("enabled")
    for key in ("b", "a", "a", "b"):
        bucket.put(key, 1)
    bucket.delete("a")
    found = await entries(bucket)
    assert [(each.key, each.is_marker, each.is_latest, each.etag is None) for each in found] == [
        ("a", True, True, True),
        ("a", False, False, False),
        ("a", False, False, False),
        ("b", False, True, False),
        ("b", False, False, False),
    ]
    assert [each.version_id for each in found[:3]] == list(reversed(bucket.version_ids("a")))


async def test_a_range_excludes_its_start_and_includes_its_end() -> None:
    """The keys k of a range with after < k <= upto."""
    bucket = bucket_with("enabled")
    for key in "abcd":
        bucket.put(key, 1)
    assert [each.key for each in await entries(bucket, KeyRange("a", "c"))] == ["b", "c"]


async def test_objects_alone_hide_deleted_keys() -> None:
    """ListObjectsV2 shows current objects only."""
    bucket = bucket_with("unversioned")
    bucket.put("a", 1)
    bucket.put("b", 1)
    bucket.delete("a")
    assert [(each.key, each.version_id) for each in await entries(bucket, versions=False)] == [("b", "")]


async def test_a_multipart_upload_is_as_old_as_its_initiation() -> None:
    """LastModified is the second of the initiation, while the version lies above those that came meanwhile."""
    bucket = bucket_with("enabled")
    began = bucket.now
    upload = bucket.initiate_multipart("k")
    assert await entries(bucket) == []
    bucket.pass_time(100)
    bucket.put("k", 1)
    bucket.pass_time(100)
    bucket.complete_multipart("k", 2, 2, upload)
    found = await entries(bucket)
    assert [each.size_bytes for each in found] == [2, 1]
    assert (found[0].last_modified, found[1].last_modified) == (int(began.timestamp()), int(began.timestamp()) + 100)


async def test_each_page_shows_the_bucket_as_it_is_then() -> None:
    """Changes between pages show on the later ones, and a key that was passed is not shown again."""
    bucket = bucket_with("unversioned")
    for key in "acd":
        bucket.put(key, 1)
    changes: Iterator[Change] = iter(
        [unchanged, lambda: bucket.put("b", 1), lambda: bucket.delete("c"), lambda: bucket.put("a", 9)]
    )

    async def change() -> None:
        next(changes, unchanged)()

    listing = BucketListing(bucket, Random(1), change, page_entries=1)
    assert [(e.key, e.size_bytes) async for page in listing.pages(KeyRange()) for e in page] == [
        ("a", 1),
        ("b", 1),
        ("d", 1),
    ]


@pytest.mark.parametrize("seed", range(4))
async def test_a_null_version_that_moves_loses_no_version(seed: int) -> None:
    """A null version written anew where a page ended: the others are shown, some of them twice at most."""
    bucket = bucket_with("enabled")
    bucket.put("k", 1)
    bucket.suspend_versioning()
    bucket.put("k", 2)
    changes: Iterator[Change] = iter([unchanged, lambda: bucket.put("k", 3)])

    async def change() -> None:
        next(changes, unchanged)()

    listing = BucketListing(bucket, Random(seed), change, page_entries=1)
    sizes = [each.size_bytes async for page in listing.pages(KeyRange()) for each in page]
    assert sizes[0] == 2
    assert sizes[-1] == 1


def test_clocks_of_sequencers_are_wrong_and_still_grow() -> None:
    """With an error of the clock, sequencers stray from the time of the bucket, and none goes back."""
    bucket = SimulatedBucket("lake", Random(0), clock_error_seconds=5)
    for _ in range(300):
        bucket.put("k", 1)
        bucket.pass_time(3)
    sequencers = [emission.sequencer for emission in bucket.history]
    errors = [int(each.sequencer[:10], 16) - each.event_time.timestamp() for each in bucket.history]
    assert sequencers == sorted(sequencers)
    assert max(errors) > 2
    assert min(errors) < -2
    assert max(map(abs, errors)) < 7
