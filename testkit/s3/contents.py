"""What a listing needs of a bucket: runs of entries in order, from any position on."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from testkit.s3.entries import Entry, Form, rendered, shown


class Position(msgspec.Struct, frozen=True):
    """A place between two entries, in the order of listings: keys by their bytes, versions from the newest."""

    key: bytes = b""
    """The first key that may follow."""
    version_id: str = ""
    """If the first key is `key` itself, only its versions after this one follow; empty for all of them."""

    @classmethod
    def after(cls, key: bytes) -> Position:
        """The place after all versions of a key."""
        return cls(key + b"\x00")


class Run(Protocol):
    """Some consecutive entries."""

    def __len__(self) -> int: ...

    def key(self, index: int) -> bytes:
        """The key of one of them."""
        ...

    def version_id(self, index: int) -> str:
        """The version id of one of them, `null` for the null version."""
        ...

    def xml(self, first: int, last: int, form: Form) -> bytes:
        """The XML of the entries from `first` to before `last`."""
        ...


class Contents(Protocol):
    """The entries of a bucket at this moment."""

    def runs(self, position: Position, form: Form) -> Iterator[Run]:
        """All entries from a position on; each run has at least one. In ListObjectsV2 only what is current."""
        ...


def count_before(run: Run, end: bytes) -> int:
    """How many entries of the run have a key before `end`."""
    return bisect_left(range(len(run)), end, key=run.key)


class EntryRun:
    """A run of stored entries."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    def key(self, index: int) -> bytes:
        """The key of one of them."""
        return self._entries[index].key

    def version_id(self, index: int) -> str:
        """The version id of one of them."""
        return self._entries[index].version_id

    def xml(self, first: int, last: int, form: Form) -> bytes:
        """The XML of the entries from `first` to before `last`."""
        return b"".join([rendered(entry, shown(entry.key, form), form) for entry in self._entries[first:last]])
