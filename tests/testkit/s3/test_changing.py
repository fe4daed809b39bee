"""A changing bucket lists its generated keys and then what was put, from any place and in pages of any size."""

from __future__ import annotations

from random import Random

import pytest

from testkit.s3.changing import ChangingBucket
from testkit.s3.entries import Entry
from testkit.s3.errors import S3Error
from testkit.s3.generated import GeneratedBucket, GeneratedPlan
from testkit.s3.listing import make_page, page_body, read_request
from testkit.s3.raw_client import read_page

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
    """Against a model of stacks, after each ten of 120 random changes."""
    bucket, random, stacks = ChangingBucket(PLAN), Random(page_size), dict[str, list[tuple[str, bool]]]()
    generated = [shown(entry) for entry in GeneratedBucket(PLAN).entries(is_versions=True)]
    for number in range(1, 121):
        key = f"live/{random.randrange(15):02}"
        stack = stacks.setdefault(key, [])
        kind = random.choice(("put", "put", "delete", "remove"))
        if kind == "put":
            stack.insert(0, (bucket.put(key, b"body").version_id, False))
        elif kind == "delete":
            made = bucket.delete(key, None)
            assert made is not None
            stack.insert(0, (made.version_id, True))
        elif stack:
            bucket.delete(key, stack.pop(random.randrange(len(stack)))[0])
        if number % 10 == 0:
            expected = generated + [
                (key, version_id, is_marker, age == 0)
                for key, stack in sorted(stacks.items())
                for age, (version_id, is_marker) in enumerate(stack)
            ]
            assert listed(bucket, {"versions": ""}, page_size) == expected
            current = [key for key, _, is_marker, is_latest in expected if is_latest and not is_marker]
            assert [each[0] for each in listed(bucket, {"list-type": "2"}, page_size)] == current


def test_a_page_goes_on_behind_a_version_that_is_gone() -> None:
    """The marker of a page may have been removed since."""
    bucket = ChangingBucket(GeneratedPlan(1, deep_versions=1))
    ids = [bucket.put("live/a", b"1").version_id for _ in range(3)]
    bucket.delete("live/a", ids[1])
    asked = {"versions": "", "key-marker": "live/a", "version-id-marker": ids[1]}
    request = read_request("bucket", asked)
    page = read_page(page_body(make_page(bucket, request), request))
    assert [each.version_id for each in page.entries] == [ids[0]]


def test_generated_keys_cannot_be_changed() -> None:
    """They are computed, not stored."""
    with pytest.raises(S3Error, match="live/"):
        ChangingBucket(PLAN).put("lake/a", b"")
