"""A generated bucket is listed completely and in order, from any place, in pages of any size."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriber.model import ListedVersion
from testkit.s3.contents import Position
from testkit.s3.entries import Entry, Form, listed_version
from testkit.s3.generated import GeneratedBucket, GeneratedPlan
from testkit.s3.listing import make_page, page_body, read_request
from testkit.s3.raw_client import ListedPage, read_page

_PLANS = {
    "lake": GeneratedPlan(2_350, keys_per_block=100, deep_versions=250),
    "mixed": GeneratedPlan(2_020, seed=7, layout="mixed", keys_per_block=100, deep_versions=12),
    "unversioned": GeneratedPlan(999, seed=3, is_versioned=False, keys_per_block=50),
}
_BUCKETS = {name: GeneratedBucket(plan) for name, plan in _PLANS.items()}
_VERSIONS = {name: list(bucket.entries(is_versions=True)) for name, bucket in _BUCKETS.items()}
_CURRENT = {name: list(bucket.entries(is_versions=False)) for name, bucket in _BUCKETS.items()}

pytestmark = pytest.mark.usefixtures("untraced")

_names = st.sampled_from(sorted(_PLANS))
_kinds = st.sampled_from([{"versions": ""}, {"list-type": "2"}])


def _listed(entry: Entry, query: dict[str, str]) -> ListedVersion:
    return listed_version(entry, is_versions="versions" in query)


def _page(bucket: GeneratedBucket, query: dict[str, str]) -> ListedPage:
    request = read_request("bucket", {"encoding-type": "url", **query})
    return read_page(page_body(make_page(bucket, request), request))


def _walk(bucket: GeneratedBucket, query: dict[str, str]) -> list[ListedPage]:
    pages = [_page(bucket, query)]
    while pages[-1].next_parameters:
        pages.append(_page(bucket, {**query, **pages[-1].next_parameters}))
    return pages


def _truth(name: str, query: dict[str, str]) -> list[Entry]:
    return (_VERSIONS if "versions" in query else _CURRENT)[name]


@pytest.mark.parametrize("name", sorted(_PLANS))
@pytest.mark.parametrize("query", [{"versions": ""}, {"list-type": "2"}], ids=["versions", "objects"])
@pytest.mark.parametrize("size", [97, 1_000])
def test_all_pages_together_are_the_bucket(name: str, query: dict[str, str], size: int) -> None:
    """Every entry is on exactly one page, with all of its values, in the order of the truth."""
    pages = _walk(_BUCKETS[name], {**query, "max-keys": str(size)})
    truth = [_listed(entry, query) for entry in _truth(name, query)]
    assert [entry for page in pages for entry in page.entries] == truth
    assert all(len(page.entries) == size for page in pages[:-1])


@pytest.mark.parametrize("name", sorted(_PLANS))
def test_the_truth_is_a_bucket(name: str) -> None:
    """Keys ascend by bytes, each has one latest version at the top of its stack, and no version occurs twice."""
    entries = _VERSIONS[name]
    for first, second in pairwise(entries):
        assert first.key <= second.key
        assert second.is_latest == (first.key != second.key)
        assert first.key != second.key or first.last_modified > second.last_modified
    assert len({(entry.key, entry.version_id) for entry in entries}) == len(entries)
    assert len({entry.key for entry in entries}) == _PLANS[name].keys
    assert _BUCKETS[name].count(is_versions=True) == len(entries)
    assert [entry for entry in entries if entry.is_latest and not entry.is_marker] == _CURRENT[name]


def test_a_bucket_has_what_makes_listing_hard() -> None:
    """Among the entries are delete markers, null versions, multipart ETags, and a key whose stack fills pages."""
    entries = _VERSIONS["lake"]
    assert any(entry.is_marker and entry.is_latest for entry in entries)
    assert any(entry.is_marker and not entry.is_latest for entry in entries)
    assert any(entry.version_id == "null" for entry in entries)
    assert any("-" in entry.etag for entry in entries)
    assert max(sum(other.key == entry.key for other in entries) for entry in entries[::40]) > 1
    assert any("%" in entry.key.decode() for entry in _VERSIONS["mixed"])


def test_the_seed_decides() -> None:
    """The same seed gives the same bucket, another one a different bucket."""
    again = GeneratedBucket(_PLANS["mixed"])
    other = GeneratedBucket(GeneratedPlan(2_020, seed=8, layout="mixed", keys_per_block=100))
    assert list(again.entries(is_versions=True)) == _VERSIONS["mixed"]
    assert {entry.etag for entry in other.entries(is_versions=True)}.isdisjoint(
        entry.etag for entry in _VERSIONS["mixed"] if entry.etag
    )


@given(_names, _kinds, st.floats(0, 1), st.sampled_from(["", "\x01", "!", "~"]))
def test_a_page_begins_after_any_key(name: str, query: dict[str, str], share: float, suffix: str) -> None:
    """A key marker or start-after, of a key that exists or not, is followed by the next greater key."""
    entries = _truth(name, query)
    after = entries[int(share * (len(entries) - 1))].key.decode() + suffix
    marker = {"key-marker" if "versions" in query else "start-after": after}
    page = _page(_BUCKETS[name], {**query, **marker, "max-keys": "3"})
    expected = [_listed(entry, query) for entry in entries if entry.key > after.encode()][:3]
    assert list(page.entries) == expected


@given(_names, st.floats(0, 1))
def test_a_page_begins_after_any_version(name: str, share: float) -> None:
    """Both markers together are followed by the next older version, or the next key."""
    entries = _VERSIONS[name]
    at = int(share * (len(entries) - 1))
    marker = {"key-marker": entries[at].key.decode(), "version-id-marker": entries[at].version_id}
    page = _page(_BUCKETS[name], {"versions": "", **marker, "max-keys": "3"})
    assert list(page.entries) == [_listed(entry, {"versions": ""}) for entry in entries[at + 1 : at + 4]]


@settings(max_examples=40)
@given(_names, _kinds, st.floats(0, 1), st.integers(0, 45), st.sampled_from(["", "/", "-", "part-000"]))
def test_prefix_and_delimiter(name: str, query: dict[str, str], share: float, length: int, delimiter: str) -> None:
    """A prefix selects keys; a delimiter folds what follows into common prefixes, which pages name once."""
    entries = _truth(name, query)
    prefix = entries[int(share * (len(entries) - 1))].key[:length].decode(errors="ignore")
    asked = {**query, "prefix": prefix, "max-keys": "200", **({"delimiter": delimiter} if delimiter else {})}
    pages = _walk(_BUCKETS[name], asked)
    chosen = [entry for entry in entries if entry.key.startswith(prefix.encode())]
    rest = [entry.key.decode()[len(prefix) :] for entry in chosen]
    folds = [bool(delimiter) and delimiter in text for text in rest]
    prefixes = {
        prefix + text.partition(delimiter)[0] + delimiter for text, folded in zip(rest, folds, strict=True) if folded
    }
    alone = [_listed(entry, query) for entry, folded in zip(chosen, folds, strict=True) if not folded]
    assert [entry for page in pages for entry in page.entries] == alone
    assert [text for page in pages for text in page.common_prefixes] == sorted(prefixes)


def test_ten_million_keys_are_not_stored() -> None:
    """A page in the middle of a bucket of ten million keys takes a few pools and nothing else."""
    bucket = GeneratedBucket(GeneratedPlan(10_000_000))
    form = Form(is_versions=True, is_encoded=True)
    run = next(bucket.runs(Position(b"lake/site=00013/date=2025-07-01/"), form))
    page = _page(bucket, {"versions": "", "prefix": "lake/site=00013/date=2025-07-01/part-00500"})
    assert run.key(0).startswith(b"lake/site=00013/date=2025-07-01/part-00000-")
    assert {entry.key[:42] for entry in page.entries} == {"lake/site=00013/date=2025-07-01/part-00500"}
