"""A generated bucket with changing objects behind it: what a comparison under live traffic lists.

All keys that may change begin with `live/`, which is after every generated key, so the two listings follow each other.
A change costs the same however much the bucket has seen; LiveBucket reads its whole contents anew after each one.
"""

from __future__ import annotations

import hashlib
import time
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from random import Random
from typing import Final

import msgspec

from testkit.s3 import errors
from testkit.s3.contents import EntryRun, Position, Run
from testkit.s3.entries import Entry, Form, iso_time
from testkit.s3.generated import GeneratedBucket, GeneratedPlan
from testkit.s3.live import LiveBucket, StoredObject
from testkit.workload.bucket import SimulatedBucket

LIVE_PREFIX: Final = "live/"
_KEYS_PER_RUN: Final = 100


class ChangingBucket(LiveBucket):
    """The contents of a generated bucket, and of a small one with versioning that is put and deleted.

    A version id is the number of its change, in 32 hex digits.

    Args:
        plan: the generated part.
        clock: Unix seconds.
    """

    def __init__(self, plan: GeneratedPlan, clock: Callable[[], float] = time.time) -> None:
        super().__init__(SimulatedBucket("changing", Random(0)), clock)
        self.simulated.enable_versioning()  # for the operations on the bucket's configuration; it stays empty
        self._now = clock
        self._generated = GeneratedBucket(plan)
        self._live: dict[bytes, list[Entry]] = {}
        """By key, the newest version first; no stack is empty."""
        self._keys: list[bytes] = []
        self._changes = 0

    def runs(self, position: Position, form: Form) -> Iterator[Run]:
        """All entries from a position on: the generated ones, then the others in runs of some keys."""
        yield from self._generated.runs(position, form)
        start = bisect_left(self._keys, position.key)
        for first in range(start, len(self._keys), _KEYS_PER_RUN):
            entries = [
                entry
                for key in self._keys[first : first + _KEYS_PER_RUN]
                for entry in self._live[key]
                if _is_after(entry, position) and (form.is_versions or (entry.is_latest and not entry.is_marker))
            ]
            if entries:
                yield EntryRun(entries)

    def put(self, key: str, body: bytes) -> Entry:
        """PutObject.

        Raises:
            errors.S3Error: InvalidArgument, for a key of the generated part.
        """
        if not key.startswith(LIVE_PREFIX):
            raise errors.S3Error(400, "InvalidArgument", f"Only keys with the prefix {LIVE_PREFIX} can be changed")
        return self._added(key, hashlib.md5(body).hexdigest(), len(body))

    def delete(self, key: str, version_id: str | None) -> Entry | None:
        """DeleteObject; returns the delete marker that it made, if any."""
        stack = self._live.get(key.encode(), [])
        if version_id is None:
            return self._added(key, "", 0, is_marker=True) if key.startswith(LIVE_PREFIX) else None
        self._keep(key.encode(), [entry for entry in stack if entry.version_id != version_id])
        return None

    def get(self, key: str, version_id: str | None) -> StoredObject:  # noqa: ARG002 - as in LiveBucket
        """GetObject and HeadObject: no body is kept.

        Raises:
            errors.S3Error: always.
        """
        raise errors.not_implemented("reading objects of a changing bucket")

    def _added(self, key: str, etag: str, size_bytes: int, *, is_marker: bool = False) -> Entry:
        self._changes += 1
        made = Entry(
            key=key.encode(),
            version_id=f"{self._changes:032x}",
            is_marker=is_marker,
            is_latest=True,
            last_modified=iso_time(self._now()),
            etag=etag,
            size_bytes=size_bytes,
        )
        self._keep(made.key, [made, *self._live.get(made.key, [])])
        return made

    def _keep(self, key: bytes, stack: list[Entry]) -> None:
        if not stack:
            if self._live.pop(key, None) is not None:
                del self._keys[bisect_left(self._keys, key)]
            return
        if key not in self._live:
            insort(self._keys, key)
        self._live[key] = [
            msgspec.structs.replace(entry, is_latest=age == 0) if entry.is_latest != (age == 0) else entry
            for age, entry in enumerate(stack)
        ]


def _is_after(entry: Entry, position: Position) -> bool:
    """Whether it follows a position; a version that is gone by now still has its place, by its number."""
    return entry.key != position.key or not position.version_id or entry.version_id < position.version_id
