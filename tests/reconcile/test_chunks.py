"""Pages become chunks of whole stacks that cover the range, and the next page is asked for ahead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.errors import ListingError
from subscriber.model import KeyRange, ListedVersion
from subscriber.reconcile.chunks import Chunk, ahead, chunks

KEYS = st.lists(st.sampled_from("abcdef"), max_size=30).map(sorted)


def version(key: str, number: int) -> ListedVersion:
    """One entry."""
    return ListedVersion(
        key=key, version_id=f"v{number}", is_marker=False, is_latest=False, last_modified=0, size_bytes=1, etag=None
    )


async def pages_of(
    entries: Sequence[ListedVersion], lengths: Sequence[int]
) -> AsyncGenerator[Sequence[ListedVersion], None]:
    """The entries, cut into pages of these lengths; 0 is a page without entries."""
    begin = 0
    for length in lengths:
        yield [*entries[begin : begin + length]]
        begin += length
    yield [*entries[begin:]]


@given(KEYS, st.lists(st.integers(0, 5), max_size=10), st.none() | st.sampled_from("fg"))
async def test_chunks_cover_the_range_and_never_cut_a_stack(keys: str, lengths: list[int], upto: str | None) -> None:
    """Whatever the pages are; each entry comes once, in order, and the requests are counted."""
    entries = [version(key, number) for number, key in enumerate(keys)]
    found = [chunk async for chunk in chunks(pages_of(entries, lengths), KeyRange("", upto))]
    assert [entry for chunk in found for entry in chunk.entries] == entries
    assert (found[0].keys.after, found[-1].keys.upto) == ("", upto)
    for one, other in pairwise(found):
        assert one.keys.upto == other.keys.after == one.entries[-1].key
        assert not {entry.key for entry in one.entries} & {entry.key for entry in other.entries}
    assert sum(chunk.requests for chunk in found) == len(lengths) + 1


async def test_a_stack_that_is_too_long_is_cut_where_it_can_be_seen() -> None:
    """One more than may be held is kept, so that the comparison knows."""
    entries = [version("a", 0), *(version("b", number) for number in range(50)), version("c", 0)]
    found = [chunk async for chunk in chunks(pages_of(entries, [7] * 7), KeyRange(), 10)]
    counted = [entry.key for chunk in found for entry in chunk.entries]
    assert (counted.count("a"), counted.count("c")) == (1, 1)
    assert 10 < counted.count("b") < 50


@given(KEYS, st.sampled_from("abcdefg"))
def test_a_chunk_ends_with_a_range_that_ends_earlier(keys: list[str], upto: str) -> None:
    """What is left covers the rest of the range, and nothing behind it."""
    chunk = Chunk(KeyRange("a", None), [version(key, 0) for key in keys if key > "a"], 1)
    cut = chunk.up_to(upto)
    assert chunk.up_to(None) is chunk
    if upto == "a":
        assert cut is None
    else:
        assert cut is not None
        assert cut.keys == KeyRange("a", upto)
        assert [entry.key for entry in cut.entries] == [key for key in keys if "a" < key <= upto]


async def test_the_next_page_is_asked_for_while_one_is_used() -> None:
    """One page ahead and no more; at the end nothing is left running."""
    asked = 0

    async def pages() -> AsyncGenerator[Sequence[ListedVersion], None]:
        nonlocal asked
        for number in range(10):
            asked += 1
            yield [version("a", number)]

    source = pages()
    given_ahead = ahead(source)
    for number in range(1, 4):
        await anext(given_ahead)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert asked == number + 1
    await given_ahead.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(source)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "next page"]


async def test_a_failure_of_a_page_that_was_asked_for_ahead_is_raised_in_its_place() -> None:
    """The page before it is given first."""

    async def pages() -> AsyncGenerator[Sequence[ListedVersion], None]:
        yield [version("a", 1)]
        raise ListingError("Timeout", "no answer")

    given_ahead = ahead(pages())
    assert len(await anext(given_ahead)) == 1
    await asyncio.sleep(0)
    with pytest.raises(ListingError):
        await anext(given_ahead)
