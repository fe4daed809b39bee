"""The merge join groups the versions of a key across pages, in the order of UTF-8 bytes, with bounded memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import groupby
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.errors import ListingError
from subscriber.model import IndexedVersion, ListedVersion
from subscriber.reconcile.merge import KeyVersions, merge
from tests.reconcile.samples import indexed, listed

KEYS = st.text(min_size=1, max_size=3) | st.sampled_from(["\uffff", "\U00010000", "z", "é"])
"""The last two groups lie the other way round in UTF-16."""
PAGES = st.integers(1, 4)
Entry = TypeVar("Entry", ListedVersion, IndexedVersion)


async def paged(entries: Sequence[Entry], size: int) -> AsyncIterator[Sequence[Entry]]:
    """The entries in pages of this size, some of them empty."""
    for start in range(0, len(entries), size):
        yield entries[start : start + size]
        yield []


def versions(keys: Iterable[str]) -> list[ListedVersion]:
    """One listed version for each mention of a key, in the order of S3."""
    ordered = sorted(keys, key=lambda key: key.encode())
    return [msgspec.structs.replace(listed(f"v{number}"), key=key) for number, key in enumerate(ordered)]


def rows(keys: Iterable[str]) -> list[IndexedVersion]:
    """The same for the index."""
    ordered = sorted(keys, key=lambda key: key.encode())
    return [msgspec.structs.replace(indexed(f"v{number}"), key=key) for number, key in enumerate(ordered)]


async def joined(
    ours: Sequence[ListedVersion], theirs: Sequence[IndexedVersion], *sizes: int, most: int = 100
) -> list[KeyVersions]:
    """The whole join."""
    left, right = sizes or (2, 3)
    return [each async for each in merge(paged(ours, left), paged(theirs, right), most)]


@given(st.lists(KEYS), st.lists(KEYS), PAGES, PAGES)
async def test_every_key_once_with_all_versions(ours: list[str], theirs: list[str], left: int, right: int) -> None:
    """For any keys and pages: each key of either side once, in order, with all its versions in their order."""
    ours_versions, theirs_rows = versions(ours), rows(theirs)
    stacks = {key: tuple(group) for key, group in groupby(ours_versions, key=lambda version: version.key)}
    held = {key: tuple(group) for key, group in groupby(theirs_rows, key=lambda row: row.key)}
    expected = [
        KeyVersions(key, stacks.get(key, ()), held.get(key, ()))
        for key in sorted({*ours, *theirs}, key=lambda key: key.encode())
    ]
    assert await joined(ours_versions, theirs_rows, left, right) == expected


async def test_a_key_is_absent_only_once_the_listing_has_passed_it() -> None:
    """A row is not called absent while the listing may still come to its key."""
    asked: list[str] = []

    async def pages() -> AsyncIterator[Sequence[ListedVersion]]:
        for key in "bd":
            asked.append(key)
            yield versions([key])
        asked.append("end")

    async def held() -> AsyncIterator[Sequence[IndexedVersion]]:
        yield rows("ace")

    seen = [(each.key, asked[-1]) async for each in merge(pages(), held())]
    assert seen == [("a", "d"), ("b", "d"), ("c", "end"), ("d", "end"), ("e", "end")]


async def test_a_listing_that_breaks_proves_no_absence() -> None:
    """The error comes before any key that the listing has not passed."""

    async def pages() -> AsyncIterator[Sequence[ListedVersion]]:
        yield versions("ab")
        raise ListingError("InternalError", "the third page failed")

    keys = merge(pages(), paged(rows("abcd"), 4))
    assert (await anext(keys)).key == "a"
    with pytest.raises(ListingError, match="the third page failed"):
        await anext(keys)


async def test_a_key_with_too_many_versions_is_marked() -> None:
    """What is held of a key is bounded, on either side, and the keys around it are not affected."""
    many = await joined(versions("abbbbc"), rows("abc"), most=3)
    assert [(each.key, len(each.listed), each.is_whole) for each in many] == [
        ("a", 1, True),
        ("b", 3, False),
        ("c", 1, True),
    ]
    many = await joined(versions("b"), rows("bbbb"), most=3)
    assert [(each.key, len(each.indexed), each.is_whole) for each in many] == [("b", 3, False)]


async def test_the_copies_of_a_key_are_shared() -> None:
    """A hundred thousand versions of a long key do not hold a hundred thousand copies of it."""
    key = "k" * 1024
    entries = [msgspec.structs.replace(listed(f"v{number}"), key=str(key.encode(), "ascii")) for number in range(5_000)]
    (whole,) = [each async for each in merge(paged(entries, 1000), paged(rows([]), 1))]
    assert len(whole.listed) == 5_000
    assert len({id(version.key) for version in whole.listed}) <= 1_000


async def test_keys_that_go_backward_are_an_error() -> None:
    """A store that lists in another order is named, instead of every key being called missing."""
    with pytest.raises(ListingError, match="'a' after 'b', which is not the order of UTF-8 bytes") as caught:
        await joined(list(reversed(versions("ab"))), [])
    assert caught.value.is_permanent
    with pytest.raises(ListingError, match="the index has the key 'a' after 'b'"):
        await joined([], list(reversed(rows("ab"))))
