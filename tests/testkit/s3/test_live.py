"""A simulated bucket is listed as it is at the moment of each page."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testkit.s3.errors import S3Error
from testkit.s3.listing import make_page, page_body, read_request
from testkit.s3.live import LiveBucket
from testkit.s3.raw_client import ListedPage, read_page
from testkit.workload.bucket import SimulatedBucket, Versioning
from testkit.workload.random_walk import random_walk


def _page(live: LiveBucket, **query: str) -> ListedPage:
    parameters = {"encoding-type": "url", **{name.replace("_", "-"): text for name, text in query.items()}}
    request = read_request("bucket", parameters)
    return read_page(page_body(make_page(live, request), request))


def _walked(live: LiveBucket, **query: str) -> list[ListedPage]:
    pages = [_page(live, **query)]
    while pages[-1].next_parameters:
        pages.append(_page(live, **{**query, **pages[-1].next_parameters}))
    return pages


def _versioned() -> LiveBucket:
    live = LiveBucket(SimulatedBucket("bucket", Random(1)), clock=lambda: 1_000_000_000.9)
    live.simulated.enable_versioning()
    return live


def _ids(page: ListedPage) -> list[tuple[str, str]]:
    return [(entry.key, entry.version_id) for entry in page.entries]


@given(st.integers(0, 2**32), st.sampled_from(["unversioned", "enabled", "suspended"]), st.integers(1, 9))
def test_both_listings_are_what_the_bucket_holds(seed: int, versioning: Versioning, size: int) -> None:
    """After any history the pages hold the versions, the newest of a key first, or the current objects."""
    simulated = SimulatedBucket("bucket", Random(seed), versioning=versioning)
    random_walk(simulated, Random(seed), events=40, keys=6)
    live = LiveBucket(simulated)
    versions = [entry for page in _walked(live, versions="", max_keys=str(size)) for entry in page.entries]
    expected = [row for row in simulated.expected_versions() if row.state != "removed"]
    everything = simulated.keys()
    by_key = {key: list(reversed(simulated.version_ids(key))) for key in everything}
    assert [(entry.key, entry.version_id) for entry in versions] == [
        (key, version_id) for key in sorted(by_key) for version_id in by_key[key]
    ]
    assert sorted((entry.key, entry.version_id, entry.size_bytes, entry.is_marker) for entry in versions) == [
        (row.key, row.version_id, row.size_bytes, row.state == "delete_marker") for row in expected
    ]
    assert all(entry.is_latest == (entry.version_id == by_key[entry.key][0]) for entry in versions)
    current = [entry for page in _walked(live, list_type="2", max_keys=str(size)) for entry in page.entries]
    assert [(entry.key, entry.etag, entry.size_bytes) for entry in current] == [
        (row.key, row.etag, row.size_bytes) for row in simulated.expected_objects()
    ]


def test_a_change_between_two_pages_is_seen() -> None:
    """Each page is computed when it is asked for: what was added behind the marker is on it, what went is not."""
    live = _versioned()
    for key in "abcdef":
        live.put(key, b"1")
    first = _page(live, versions="", max_keys="2")
    assert [entry.key for entry in first.entries] == ["a", "b"]
    live.simulated.put("a", 1)
    live.simulated.put("bb", 1)
    live.simulated.delete_version("c", live.simulated.version_ids("c")[0])
    second = _page(live, **{"versions": "", **first.next_parameters})
    assert [entry.key for entry in second.entries] == ["bb", "d", "e", "f"]


def test_a_marker_that_was_removed_keeps_its_place() -> None:
    """The page after a version that no longer exists begins with the next older one: none is skipped or repeated."""
    live = _versioned()
    ids = [live.put("key", str(number).encode()).version_id for number in range(5)]
    first = _page(live, versions="", max_keys="2")
    assert _ids(first) == [("key", ids[4]), ("key", ids[3])]
    live.delete("key", ids[3])
    newest = live.put("key", b"5").version_id
    assert _ids(_page(live, **{"versions": "", **first.next_parameters})) == [("key", each) for each in ids[2::-1]]
    assert _ids(_page(live, versions=""))[0] == ("key", newest)


def test_a_null_version_is_replaced_and_listed_as_null() -> None:
    """While versioning is suspended each write replaces the null version and comes before the older ones."""
    live = LiveBucket(SimulatedBucket("bucket", Random(1)))
    live.put("key", b"1")
    live.simulated.enable_versioning()
    kept = live.put("key", b"22").version_id
    live.simulated.suspend_versioning()
    live.put("key", b"333")
    entries = _page(live, versions="").entries
    assert [(entry.version_id, entry.size_bytes) for entry in entries] == [("", 3), (kept, 2)]
    assert live.get("key", "null").body == b"333"
    marker = live.delete("key", None)
    assert marker is not None
    assert (marker.version_id, marker.is_marker) == ("null", True)


def test_objects_are_read_as_they_were_put() -> None:
    """A version keeps its body and the time of its write; what was put past the server has a body of its size."""
    live = _versioned()
    first, second = live.put("key", b"first"), live.put("key", b"second")
    assert (live.get("key", None).body, live.get("key", first.version_id).body) == (b"second", b"first")
    assert second.last_modified == "2001-09-09T01:46:40.000Z"
    live.simulated.put("other", 100)
    assert len(live.get("other", None).body) == 100


@pytest.mark.parametrize(
    ("key", "version_id", "code"),
    [
        ("nowhere", None, "NoSuchKey"),
        ("deleted", None, "NoSuchKey"),
        ("deleted", "no-version", "NoSuchVersion"),
        ("deleted", "marker", "MethodNotAllowed"),
    ],
)
def test_what_cannot_be_read_has_its_own_error(key: str, version_id: str | None, code: str) -> None:
    """A missing key, a deleted one, a missing version and a delete marker."""
    live = _versioned()
    live.put("deleted", b"1")
    marker = live.delete("deleted", None)
    assert marker is not None
    with pytest.raises(S3Error) as raised:
        live.get(key, marker.version_id if version_id == "marker" else version_id)
    assert raised.value.code == code


def test_a_multipart_upload_is_listed_with_the_time_of_its_initiation() -> None:
    """Not with that of its completion, which is the time of its event."""
    simulated = SimulatedBucket("bucket", Random(1))
    upload = simulated.initiate_multipart("key")
    simulated.pass_time(3_600)
    simulated.complete_multipart("key", 5, 2, upload)
    (entry,) = _page(LiveBucket(simulated), versions="").entries
    assert entry.last_modified == int(upload.initiated_at.timestamp())
