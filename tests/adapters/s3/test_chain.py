"""A chain of pages gives a range's entries once each and in order, or an error; it always ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriber.adapters.s3 import chain as chain_module
from subscriber.adapters.s3.chain import Chain, Listing
from subscriber.adapters.s3.page import Page
from subscriber.errors import ListingError
from subscriber.model import KeyRange, ListedVersion
from tests.adapters.s3.buckets import in_range, keys_page, version, versions_page

KEYS = st.text(st.sampled_from("ab/+% \n\x7fé😀\uffff"), min_size=1, max_size=4)
EVERYTHING = KeyRange()
VERSIONS = Listing("ListObjectVersions", keys_per_page=3)
OBJECTS = Listing("ListObjectsV2", keys_per_page=3)


@st.composite
def key_ranges(draw: st.DrawFn) -> KeyRange:
    """Any range, also empty ones."""
    return KeyRange(draw(st.just("") | KEYS), draw(st.none() | KEYS))


@st.composite
def stacks(draw: st.DrawFn) -> list[ListedVersion]:
    """A bucket whose keys have one to five versions, one of which may be the null version."""
    found = []
    for key in sorted(draw(st.sets(KEYS, max_size=12))):
        ids = draw(st.lists(st.sampled_from(["", "1", "2", "3", "4"]), min_size=1, max_size=5, unique=True))
        found += [version(key, version_id, is_latest=version_id == ids[0]) for version_id in ids]
    return found


def listed(
    listing: Listing, keys: KeyRange, answer: Callable[[Mapping[str, str]], Page], requests_at_most: int = 200
) -> list[ListedVersion]:
    """All that a chain takes."""
    chain, found = Chain(listing, keys), list[ListedVersion]()
    for _ in range(requests_at_most):
        if chain.is_ended:
            return found
        found += chain.take(answer(chain.parameters()))
    raise AssertionError("the chain does not end")


@given(bucket=stacks(), keys=key_ranges(), size=st.integers(1, 7), prefix=st.just("") | KEYS)
def test_versions_of_a_range(bucket: list[ListedVersion], keys: KeyRange, size: int, prefix: str) -> None:
    """Any keys, stacks longer than a page, any range and prefix."""
    listing = Listing("ListObjectVersions", prefix, size)
    found = listed(listing, keys, lambda asked: versions_page(bucket, asked))
    assert found == in_range(bucket, keys, prefix)


@given(names=st.sets(KEYS, max_size=12), keys=key_ranges(), size=st.integers(1, 7), prefix=st.just("") | KEYS)
def test_objects_of_a_range(names: set[str], keys: KeyRange, size: int, prefix: str) -> None:
    """The same for ListObjectsV2."""
    bucket = [version(name) for name in sorted(names)]
    found = listed(Listing("ListObjectsV2", prefix, size), keys, lambda asked: keys_page(bucket, asked))
    assert found == in_range(bucket, keys, prefix)


@given(bucket=stacks(), keys=key_ranges(), more=st.integers(0, 5))
def test_markers_told_again_and_longer_pages(bucket: list[ListedVersion], keys: KeyRange, more: int) -> None:
    """Ministack 1.5.33 begins a page with the marker's own version; LocalStack 4.13.1 gives more than asked."""

    def answer(asked: Mapping[str, str]) -> Page:
        page = versions_page(bucket, {**asked, "max-keys": str(3 + more)})
        key, marker = asked.get("key-marker"), asked.get("version-id-marker", "").removeprefix("null")
        own = [entry for entry in bucket if entry.key == key and entry.version_id == marker]
        return Page([*own, *page.entries], page.is_truncated, page.next_key, page.next_version, "")

    assert listed(VERSIONS, keys, answer) == in_range(bucket, keys)


@settings(max_examples=300)
@given(
    keys=key_ranges(),
    pages=st.lists(
        st.builds(
            Page,
            st.lists(st.builds(version, KEYS, st.sampled_from(["", "1", "2"])), max_size=3),
            st.just(True),
            st.just("") | KEYS,
            st.sampled_from(["", "null", "1", "2"]),
            st.sampled_from(["", "t", "u"]),
        ),
        min_size=1,
        max_size=5,
    ),
    listing=st.sampled_from([VERSIONS, OBJECTS]),
)
def test_any_circle_of_pages_ends(keys: KeyRange, pages: list[Page], listing: Listing) -> None:
    """LocalStack's markers may turn in a circle; such a chain ends by itself or by an error."""
    asked = iter(range(10_000))

    def answer(_: Mapping[str, str]) -> Page:
        return pages[next(asked) % len(pages)]

    try:
        found = listed(listing, keys, answer, requests_at_most=chain_module.EMPTY_PAGES_AT_MOST * 3)
    except ListingError as error:
        assert error.is_permanent  # noqa: PT017 – both outcomes are right
    else:
        assert [entry.key for entry in found] == sorted(entry.key for entry in found)


@given(stacks())
def test_markers_and_versions_that_are_listed_apart(bucket: list[ListedVersion]) -> None:
    """LocalStack 4.13.1 lists the delete markers of a page first: the latest of each key is first again."""
    entries = [
        msgspec.structs.replace(entry, is_marker=entry.version_id in {"", "2"}, last_modified=len(bucket) - place)
        for place, entry in enumerate(bucket)
    ]
    apart = sorted(entries, key=lambda entry: not entry.is_marker)
    found = listed(VERSIONS, EVERYTHING, lambda _: Page(apart, False, "", "", ""))
    assert [(entry.key, entry.is_latest) for entry in found] == [(entry.key, entry.is_latest) for entry in entries]
    assert sorted(found, key=repr) == sorted(entries, key=repr)


def page(keys: Sequence[str], *, next_key: str = "", next_version: str = "", token: str = "") -> Page:
    """A page that goes on."""
    return Page([version(key) for key in keys], True, next_key, next_version, token)


@pytest.mark.parametrize(
    ("listing", "pages", "reason"),
    [
        (VERSIONS, [page(["b", "a"])], "the keys of a page are not in the order of their bytes"),
        (VERSIONS, [page(["b"], next_key="b", next_version="null"), page(["a"])], "after the key 'b' came 'a'"),
        (VERSIONS, [page(["b"], next_key="b", next_version="1")] * 2, "after the marker 'b', '1' came 'b', '1'"),
        (VERSIONS, [page(["b"], next_key="b", next_version="1"), page(["c"], next_key="a")], "'1' came 'a', ''"),
        (VERSIONS, [page([])], "after the marker '', '' came '', ''"),
        (OBJECTS, [page(["a"], token="t"), page(["b"], token="t")], "the continuation token 't' came twice"),
        (OBJECTS, [page([])], "the continuation token '' came twice"),
    ],
)
def test_a_page_that_does_not_go_forward(listing: Listing, pages: list[Page], reason: str) -> None:
    """The sentence has both places."""
    answers = iter(pages)
    with pytest.raises(ListingError) as raised:
        listed(listing, EVERYTHING, lambda _: next(answers))
    assert reason in str(raised.value)


def test_empty_pages_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has a new token, and none has an entry."""
    monkeypatch.setattr(chain_module, "EMPTY_PAGES_AT_MOST", 5)
    tokens = iter(range(100))
    with pytest.raises(ListingError, match="5 pages in a row had no new entry"):
        listed(OBJECTS, EVERYTHING, lambda _: page([], token=str(next(tokens))))


def test_markers_are_sent_as_they_are() -> None:
    """What encodes a query is the signer: encoded twice, a marker is another key."""
    chain = Chain(VERSIONS, KeyRange("a +%\n"))
    asked = {"encoding-type": "url", "max-keys": "3", "versions": ""}
    assert chain.parameters() == {**asked, "key-marker": "a +%\n"}
    chain.take(page(["b"], next_key="b é", next_version="v+/="))
    assert chain.parameters() == {**asked, "key-marker": "b é", "version-id-marker": "v+/="}


def test_a_server_without_tokens_continues_after_its_last_key() -> None:
    """ListObjectsV2 of some stores has no NextContinuationToken."""
    chain = Chain(OBJECTS, EVERYTHING)
    chain.take(page(["a", "b"]))
    assert chain.parameters() == {"encoding-type": "url", "max-keys": "3", "list-type": "2", "start-after": "b"}
