"""A changing bucket lists generated keys and changed ones in one order, from any place and in pages of any size."""

from __future__ import annotations

from itertools import groupby
from random import Random

import pytest

from testkit.process import ProcessError
from testkit.s3 import BucketSpec, ListingServer
from testkit.s3.changing import ChangingBucket, ObjectChange
from testkit.s3.entries import Entry
from testkit.s3.generated import GeneratedBucket, GeneratedPlan
from testkit.s3.listing import make_page, page_body, read_request
from testkit.s3.raw_client import RawS3, read_page

PLAN = GeneratedPlan(20, keys_per_block=10, deep_versions=3)


def listed(bucket: ChangingBucket, query: dict[str, str], page_size: int) -> list[tuple[str, str, bool, bool]]:
    """All pages of a listing: key, version id, and whether it is a marker and the latest."""
    found, following = list[tuple[str, str, bool, bool]](), dict[str, str]()
    while True:
        request = read_request("bucket", {"max-keys": str(page_size), **query, **following})
        page = read_page(page_body(make_page(bucket, request), request))
        found += [(each.key, each.version_id, each.is_marker, each.is_latest) for each in page.entries]
        if not (following := page.next_parameters):
            return found


def shown(entry: Entry) -> tuple[str, str, bool, bool]:
    """A generated entry in the same form."""
    version_id = "" if entry.version_id == "null" else entry.version_id
    return entry.key.decode(), version_id, entry.is_marker, entry.is_latest


@pytest.mark.parametrize("page_size", [1, 2, 7, 1000])
def test_every_version_is_listed_once_and_in_order(page_size: int) -> None:
    """Against a model of stacks, after each ten of 120 random changes of generated and new keys."""
    bucket, random, stacks = ChangingBucket(PLAN), Random(page_size), dict[str, list[tuple[str, bool]]]()
    generated = [shown(entry) for entry in GeneratedBucket(PLAN).entries(is_versions=True)]
    for key, group in groupby(generated, key=lambda each: each[0]):
        stacks[key] = [(version_id, is_marker) for _, version_id, is_marker, _ in group]
    keys = [*list(stacks)[::2], *(f"{key}+new" for key in list(stacks)[::3]), "a", "live/b", "lake/site=00000/􏿿"]
    for number in range(1, 121):
        key = random.choice(keys)
        stack = stacks.setdefault(key, [])
        kind = random.choice(("put", "put", "delete", "remove"))
        if kind == "put":
            stack.insert(0, (bucket.put(key, b"body").version_id, False))
        elif kind == "delete":
            stack.insert(0, (bucket.change(ObjectChange(key)).version_id, True))
        elif stack:
            bucket.delete(key, stack.pop(random.randrange(len(stack)))[0] or "null")
        if number % 10 == 0:
            expected = [
                (key, version_id, is_marker, age == 0)
                for key, stack in sorted(stacks.items())
                for age, (version_id, is_marker) in enumerate(stack)
            ]
            assert listed(bucket, {"versions": ""}, page_size) == expected
            current = [key for key, _, is_marker, is_latest in expected if is_latest and not is_marker]
            assert [each[0] for each in listed(bucket, {"list-type": "2"}, page_size)] == current


@pytest.mark.parametrize("gone", range(5))
def test_a_page_goes_on_behind_a_version_that_is_gone(gone: int) -> None:
    """The marker of a page may have been removed since, a generated version as well."""
    bucket, stack = ChangingBucket(PLAN), GeneratedBucket(PLAN).stack(7)
    key = stack[0].key.decode()
    ids = [bucket.put(key, b"2").version_id for _ in range(2)][::-1] + [entry.version_id for entry in stack]
    assert len(ids) == 5
    bucket.delete(key, ids[gone])
    asked = {"versions": "", "prefix": key, "key-marker": key, "version-id-marker": ids[gone]}
    request = read_request("bucket", asked)
    page = read_page(page_body(make_page(bucket, request), request))
    assert [each.version_id for each in page.entries] == ids[gone + 1 :]


def test_many_changes_are_made_by_one_request(listing_process: ListingServer) -> None:
    """What the answer says of each is what the listing shows."""
    listing_process.add_bucket(BucketSpec("changing", PLAN, is_changing=True))
    key = GeneratedBucket(PLAN).stack(7)[0].key.decode()
    removed = GeneratedBucket(PLAN).stack(7)[1].version_id
    changes = [ObjectChange(key, 5), ObjectChange(key), ObjectChange(key, version_id=removed), ObjectChange("new", 7)]
    put, marker, gone, new = listing_process.change_objects("changing", changes)
    assert put.unix_ns < marker.unix_ns < gone.unix_ns < new.unix_ns
    assert gone.version_id == removed
    with RawS3(listing_process.endpoint_url) as client:
        stack = client.page("changing", {"versions": "", "prefix": key}).entries
        (other,) = client.page("changing", {"versions": "", "prefix": "new"}).entries
    assert [each.version_id for each in stack[:2]] == [marker.version_id, put.version_id]
    assert removed not in {each.version_id for each in stack}
    assert (stack[1].etag, stack[1].size_bytes) == (put.etag, 5)
    assert (other.version_id, other.etag, other.size_bytes) == (new.version_id, new.etag, 7)


def test_a_bucket_that_is_not_a_changing_one_takes_no_changes(listing_process: ListingServer) -> None:
    """The error names the operation."""
    listing_process.add_bucket(BucketSpec("fixed", PLAN))
    with pytest.raises(ProcessError, match="ChangeObjects"):
        listing_process.change_objects("fixed", [ObjectChange("a", 1)])
