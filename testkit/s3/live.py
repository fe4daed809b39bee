"""A bucket with real contents: the simulated bucket, whose events other tests send, as a server shows it.

What it shares with `testkit/workload/bucket.py` is in `_read` and in the changes below; a page always shows the bucket
as it is at this moment. ETags are the simulated ones, as S3 gives for objects encrypted with a KMS key: no MD5.
"""

from __future__ import annotations

import hashlib
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from random import Random
from typing import Final

import msgspec

from testkit.s3 import errors
from testkit.s3.contents import EntryRun, Position, Run
from testkit.s3.entries import NULL_VERSION, Entry, Form, iso_time
from testkit.workload.bucket import NULL_VERSION as SIMULATED_NULL
from testkit.workload.bucket import SimulatedBucket

MAX_OBJECT_BYTES: Final = 16 * 1_048_576
"""Manifests, inventories and small objects."""


class StoredPut(msgspec.Struct, frozen=True):
    """What only the server knows of a change that it made."""

    unix_seconds: float
    body: bytes | None


class StoredObject(msgspec.Struct, frozen=True):
    """A version that can be read."""

    entry: Entry
    body: bytes


class LiveBucket:
    """The contents of a simulated bucket, and the operations that change it."""

    def __init__(self, simulated: SimulatedBucket | None = None, clock: Callable[[], float] = time.time) -> None:
        self.simulated = simulated or SimulatedBucket("live", Random(0))
        self._clock = clock
        self._puts: dict[int, StoredPut] = {}
        """By the number of the change in the simulated bucket's history."""
        self._births: dict[tuple[str, str], int] = {}
        """The change that made a version last, by key and listed version id, removed versions too."""
        self._read_at = -1
        self._versions: list[Entry] = []
        self._current: list[Entry] = []

    def runs(self, position: Position, form: Form) -> Iterator[Run]:
        """All entries from a position on, as one run."""
        self._refresh()
        entries = self._versions if form.is_versions else self._current
        start = self._find(entries, position)
        if start < len(entries):
            yield EntryRun(entries[start:])

    def put(self, key: str, body: bytes) -> Entry:
        """PutObject."""
        self.simulated.put(key, len(body))
        return self._changed(key, body)

    def delete(self, key: str, version_id: str | None) -> Entry | None:
        """DeleteObject; returns the delete marker that it made, if any."""
        if version_id is not None:
            self.simulated.delete_version(key, _simulated_id(version_id))
            return None
        changes = len(self.simulated.history)
        self.simulated.delete(key)
        has_marker = len(self.simulated.history) > changes and bool(self.simulated.version_ids(key))
        return self._changed(key, None) if has_marker else None

    def get(self, key: str, version_id: str | None) -> StoredObject:
        """GetObject and HeadObject.

        Raises:
            errors.S3Error: NoSuchKey, NoSuchVersion or, for a delete marker, MethodNotAllowed.
        """
        self._refresh()
        stack = [entry for entry in self._stack(key) if version_id in (None, entry.version_id)]
        if not stack or (version_id is None and stack[0].is_marker):
            raise errors.no_such_version(key, version_id) if version_id else errors.no_such_key(key)
        if stack[0].is_marker:
            raise errors.S3Error(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        found = stack[0]
        put = self._puts.get(self._births[key, found.version_id])
        return StoredObject(found, put.body if put and put.body is not None else _made_up(found))

    def _stack(self, key: str) -> list[Entry]:
        encoded = key.encode()
        first = bisect_left(self._versions, encoded, key=lambda entry: entry.key)
        last = bisect_left(self._versions, encoded + b"\x00", key=lambda entry: entry.key)
        return self._versions[first:last]

    def _changed(self, key: str, body: bytes | None) -> Entry:
        """Note body and time of the version that has just become the newest."""
        self._puts[len(self.simulated.history) - 1] = StoredPut(self._clock(), body)
        self._refresh()
        return self._stack(key)[0]

    def _find(self, entries: list[Entry], position: Position) -> int:
        at = bisect_left(entries, position.key, key=lambda entry: entry.key)
        if not position.version_id:
            return at
        last = bisect_left(entries, position.key + b"\x00", key=lambda entry: entry.key)
        ids = [entry.version_id for entry in entries[at:last]]
        if position.version_id in ids:
            return at + ids.index(position.version_id) + 1
        return at + self._younger_than_gone(position, ids)

    def _younger_than_gone(self, position: Position, ids: list[str]) -> int:
        """How many of a key's versions are younger than one that was removed since it was the marker."""
        key = position.key.decode()
        gone = self._births.get((key, position.version_id), 0)
        return sum(self._births[key, version_id] > gone for version_id in ids)

    def _refresh(self) -> None:
        """Read the simulated bucket anew if it has changed: each change appends to its history."""
        if self._read_at == len(self.simulated.history):
            return
        self._read_at = len(self.simulated.history)
        self._versions = list(self._read())
        self._current = [entry for entry in self._versions if entry.is_latest and not entry.is_marker]

    def _read(self) -> Iterator[Entry]:
        self._births = {
            (emission.key, _listed_id(emission.version_id or SIMULATED_NULL)): number
            for number, emission in enumerate(self.simulated.history)
            if not emission.event_name.endswith(":Delete")
        }
        # S3 lists keys by the bytes of UTF-8, which is the order of Python's texts by code points.
        for key, stack in self.simulated.stacks().items():
            for age, version in enumerate(reversed(stack)):
                listed = _listed_id(version.version_id)
                put = self._puts.get(self._births[key, listed])
                yield Entry(
                    key=key.encode(),
                    version_id=listed,
                    is_marker=version.is_marker,
                    is_latest=age == 0,
                    last_modified=iso_time(put.unix_seconds if put else version.last_modified),
                    etag=version.etag,
                    size_bytes=version.size_bytes or 0,
                    has_checksum=True,
                )


def _listed_id(version_id: str) -> str:
    return NULL_VERSION if version_id in (SIMULATED_NULL, NULL_VERSION) else version_id


def _simulated_id(version_id: str) -> str:
    return SIMULATED_NULL if version_id == NULL_VERSION else version_id


def _made_up(entry: Entry) -> bytes:
    """The body of an object that was put into the simulated bucket without one: as long as its size says."""
    size = min(entry.size_bytes, MAX_OBJECT_BYTES)
    block = hashlib.sha256(entry.etag.encode()).digest()
    return (block * (size // len(block) + 1))[:size]
