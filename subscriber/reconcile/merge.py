"""The merge join: one key's versions in a bucket beside the same key's rows, in the order of keys, page by page.

S3 lists keys in the order of their UTF-8 bytes, and the index keeps them in the "C" collation, which is the same order.
Python compares text by code point, which is the same order again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Final, Generic, TypeVar

import msgspec

from subscriber.errors import ListingError
from subscriber.model import IndexedVersion, ListedVersion

VERSIONS_OF_A_KEY_AT_MOST: Final = 100_000
"""Held at once, of each side: both together about 80 MB. S3 slows down requests for keys with millions of versions (S3
user guide, "Best practices for S3 versioning"), and no verdict on part of a stack is possible."""
_SHARED_FROM_VERSIONS = 1_000
"""A page of S3: stacks that long are rare, and the others need no copies."""

Entry = TypeVar("Entry", ListedVersion, IndexedVersion)


class KeyVersions(msgspec.Struct, frozen=True):
    """One key of the bucket, of the index, or of both."""

    key: str
    listed: tuple[ListedVersion, ...]
    """Newest first, as listed."""
    indexed: tuple[IndexedVersion, ...]
    is_whole: bool = True
    """False if the key has more versions than are held: then nothing can be said about it."""


class _Stack(msgspec.Struct, Generic[Entry]):
    key: str
    versions: list[Entry]
    is_whole: bool = True

    def add(self, entry: Entry, versions_at_most: int) -> None:
        """Hold one more version, or count the stack as too long."""
        if len(self.versions) < versions_at_most:
            # Every entry brings its own copy of a key of up to 1,024 bytes.
            long_stack = len(self.versions) >= _SHARED_FROM_VERSIONS
            self.versions.append(msgspec.structs.replace(entry, key=self.key) if long_stack else entry)
        else:
            self.is_whole = False


async def merge(
    listed: AsyncIterator[Sequence[ListedVersion]],
    indexed: AsyncIterator[Sequence[IndexedVersion]],
    versions_at_most: int = VERSIONS_OF_A_KEY_AT_MOST,
) -> AsyncGenerator[KeyVersions, None]:
    """Join two streams of pages over the same range of keys; at most one page and one key of each are held.

    A key of the index comes without a listed version only after the listing has passed it, so its absence is between
    two consecutive keys, or behind the last key of a chain that was complete. The caller closes both streams.

    Raises:
        ListingError: the keys of a stream go backward, or the listing fails.
    """
    async with (
        aclosing(_stacks(listed, "the listing", versions_at_most)) as left,
        aclosing(_stacks(indexed, "the index", versions_at_most)) as right,
    ):
        ours, theirs = await anext(left, None), await anext(right, None)
        while ours or theirs:
            key = min(stack.key for stack in (ours, theirs) if stack)
            here = ours if ours and ours.key == key else None
            there = theirs if theirs and theirs.key == key else None
            yield KeyVersions(
                key,
                tuple(here.versions) if here else (),
                tuple(there.versions) if there else (),
                is_whole=all(stack.is_whole for stack in (here, there) if stack),
            )
            ours = await anext(left, None) if here else ours
            theirs = await anext(right, None) if there else theirs


async def _stacks(
    pages: AsyncIterator[Sequence[Entry]], source: str, versions_at_most: int
) -> AsyncGenerator[_Stack[Entry], None]:
    """The entries of each key together, across pages."""
    stack: _Stack[Entry] | None = None
    async for page in pages:
        for entry in page:
            if stack is None:
                stack = _Stack(entry.key, [entry])
            elif entry.key == stack.key:
                stack.add(entry, versions_at_most)
            elif entry.key < stack.key:
                raise _keys_go_backward(source, stack.key, entry.key)
            else:
                yield stack
                stack = _Stack(entry.key, [entry])
    if stack is not None:
        yield stack


def _keys_go_backward(source: str, key: str, following: str) -> ListingError:
    return ListingError(
        "KeysGoBackward",
        f"{source} has the key {following!r} after {key!r}, which is not the order of UTF-8 bytes: the bucket cannot "
        "be compared with the index (directory buckets are listed in no order)",
        is_permanent=True,
    )
