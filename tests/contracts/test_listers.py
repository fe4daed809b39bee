"""Whatever reads a listing to its end gives back the bucket, whatever is in it."""

from __future__ import annotations

import asyncio
import itertools
from typing import Final

import pytest

from testkit.s3 import BucketSpec, GeneratedPlan, ListingServer
from testkit.s3.entries import listed_version
from testkit.s3.generated import GeneratedBucket
from testkit.s3.keys import HOSTILE_KEYS
from testkit.s3.raw_client import RawS3
from tests.contracts.listing_contract import put, set_versioning
from tests.contracts.listing_readers import READERS

_names = itertools.count()

PLANS: Final = {
    "lake": GeneratedPlan(1_500, keys_per_block=500, deep_versions=1_200),
    "mixed": GeneratedPlan(1_000, seed=2, layout="mixed", keys_per_block=50, deep_versions=60),
    "unversioned": GeneratedPlan(1_000, seed=3, is_versioned=False, keys_per_block=100),
}

each_reader = pytest.mark.parametrize("reader", READERS)


@each_reader
@pytest.mark.parametrize("is_versions", [True, False], ids=["versions", "objects"])
@pytest.mark.parametrize("page_size", [97, 1_000])
@pytest.mark.parametrize("plan", PLANS)
async def test_a_generated_bucket_is_read_whole(
    reader: str, plan: str, page_size: int, is_versions: bool, listing_server: ListingServer
) -> None:
    """Every entry once, with all its values, in order, in pages of any size."""
    name = f"generated-{next(_names)}"
    await asyncio.to_thread(listing_server.add_bucket, BucketSpec(name, PLANS[plan], page_size=page_size))
    truth = GeneratedBucket(PLANS[plan]).entries(is_versions=is_versions)
    expected = [listed_version(entry, is_versions=is_versions) for entry in truth]
    assert await READERS[reader](listing_server.endpoint_url, name, is_versions) == expected


@each_reader
@pytest.mark.parametrize("page_size", [1, 13])
async def test_hostile_keys_are_read_in_small_pages(reader: str, page_size: int, listing_server: ListingServer) -> None:
    """Keys of any Unicode, each twice and some deleted, one entry a page and several."""
    name = f"hostile-{next(_names)}"
    spec = BucketSpec(name, page_size=page_size)
    ids = await asyncio.to_thread(_fill_with_hostile_keys, listing_server, spec)
    read = await READERS[reader](listing_server.endpoint_url, name, True)
    assert [(entry.key, entry.version_id, entry.is_marker) for entry in read] == ids
    current = await READERS[reader](listing_server.endpoint_url, name, False)
    assert [entry.key for entry in current] == [key for key in sorted(HOSTILE_KEYS) if key not in HOSTILE_KEYS[::5]]


def _fill_with_hostile_keys(server: ListingServer, spec: BucketSpec) -> list[tuple[str, str, bool]]:
    server.add_bucket(spec)
    expected: list[tuple[str, str, bool]] = []
    with RawS3(server.endpoint_url) as client:
        set_versioning(client, spec.name, "Enabled")
        for key in sorted(HOSTILE_KEYS):
            stack = [(key, version_id, False) for version_id in put(client, spec.name, key, key)]
            if key in HOSTILE_KEYS[::5]:
                marker = client.call("DELETE", f"{spec.name}/{key}").headers["x-amz-version-id"]
                stack.append((key, marker, True))
            expected += reversed(stack)
    return expected
