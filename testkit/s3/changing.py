"""A generated bucket whose objects change: what a comparison under live traffic lists.

Any key may be changed, generated or new. What has changed is kept key by key and takes the place of what was generated,
so a change costs the same however large the bucket is; LiveBucket reads its whole contents anew after each one.
"""

from __future__ import annotations

import hashlib
import time
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from random import Random

import msgspec

from testkit.s3 import errors
from testkit.s3.contents import EntryRun, Position, Run
from testkit.s3.entries import Entry, Form, iso_time
from testkit.s3.generated import GeneratedBucket, GeneratedPlan, GeneratedRun
from testkit.s3.live import LiveBucket, StoredObject
from testkit.workload.bucket import SimulatedBucket


class ObjectChange(msgspec.Struct, frozen=True):
    """A change to make: PutObject with a size; else DeleteObject, of a version if one is named."""

    key: str
    size_bytes: int | None = None
    version_id: str | None = None


class ObjectChanges(msgspec.Struct, frozen=True):
    """Changes of one bucket, in their order."""

    bucket: str
    changes: list[ObjectChange]


class ObjectChanged(msgspec.Struct, frozen=True):
    """A change that was made."""

    unix_ns: int
    """When, by the server's clock; later than all changes before it."""
    version_id: str
    """Of the version or delete marker that was made or removed."""
    etag: str = ""


class ChangingBucket(LiveBucket):
    """The contents of a generated bucket with versioning, and what was changed since.

    A version id of a change is its number, in 32 hex digits.

    Args:
        plan: the generated part.
        clock: Unix seconds.
    """

    def __init__(self, plan: GeneratedPlan, clock: Callable[[], float] = time.time) -> None:
        super().__init__(SimulatedBucket("changing", Random(0)), clock)
        self.simulated.enable_versioning()  # for the operations on the bucket's configuration; it stays empty
        self._now = clock
        self._generated = GeneratedBucket(plan)
        self._kept: dict[bytes, list[Entry]] = {}
        """By each key that was ever changed, the newest version first; a stack may be empty."""
        self._keys: list[bytes] = []
        """The same keys in order."""
        self._numbers: dict[tuple[bytes, str], int] = {}
        """The change that made a version of such a key, by its id; below zero for those that were generated."""
        self._changes = 0
        self._last_ns = 0

    def runs(self, position: Position, form: Form) -> Iterator[Run]:
        """All entries from a position on: generated ones, and in their midst the keys that were changed."""
        at = bisect_left(self._keys, position.key)
        for run in self._generated.runs(position, form):
            begin, last = 0, run.key(len(run) - 1)
            while at < len(self._keys) and self._keys[at] <= last:
                key, at = self._keys[at], at + 1
                if begin < (here := _place(run, key)):
                    yield run.slice(begin, here)
                yield from self._run_of(key, position, form)
                begin = _place(run, key + b"\x00")
            if begin < len(run):
                yield run.slice(begin, len(run))
        for key in self._keys[at:]:
            yield from self._run_of(key, position, form)

    def change(self, change: ObjectChange) -> ObjectChanged:
        """Make a change without a body."""
        self._last_ns = max(self._last_ns + 1, int(self._now() * 1e9))
        if change.size_bytes is not None:
            etag = hashlib.md5(b"%d" % self._changes).hexdigest()
            return ObjectChanged(self._last_ns, self._added(change.key, etag, change.size_bytes).version_id, etag)
        made = self.delete(change.key, change.version_id)
        return ObjectChanged(self._last_ns, made.version_id if made else change.version_id or "")

    def put(self, key: str, body: bytes) -> Entry:
        """PutObject."""
        return self._added(key, hashlib.md5(body).hexdigest(), len(body))

    def delete(self, key: str, version_id: str | None) -> Entry | None:
        """DeleteObject; returns the delete marker that it made, if any."""
        if version_id is None:
            return self._added(key, "", 0, is_marker=True)
        self._keep(key.encode(), [entry for entry in self._stack_of(key.encode()) if entry.version_id != version_id])
        return None

    def get(self, key: str, version_id: str | None) -> StoredObject:  # noqa: ARG002 - as in LiveBucket
        """GetObject and HeadObject: no body is kept.

        Raises:
            errors.S3Error: always.
        """
        raise errors.not_implemented("reading objects of a changing bucket")

    def _run_of(self, key: bytes, position: Position, form: Form) -> Iterator[Run]:
        entries = [
            entry
            for entry in self._kept[key]
            if self._is_after(entry, position) and (form.is_versions or (entry.is_latest and not entry.is_marker))
        ]
        if entries:
            yield EntryRun(entries)

    def _is_after(self, entry: Entry, position: Position) -> bool:
        """Whether it follows a position; a version that is gone by now still has its place."""
        if entry.key != position.key or not position.version_id:
            return True
        gone = self._numbers.get((entry.key, position.version_id), 0)
        return self._numbers[entry.key, entry.version_id] < gone

    def _added(self, key: str, etag: str, size_bytes: int, *, is_marker: bool = False) -> Entry:
        stack = self._stack_of(key.encode())
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
        self._numbers[made.key, made.version_id] = self._changes
        self._keep(made.key, [made, *stack])
        return made

    def _stack_of(self, key: bytes) -> list[Entry]:
        """The versions of a key, which is changed now."""
        if key not in self._kept:
            stack = self._kept[key] = self._generated.stack_of(key)
            self._numbers |= {(key, entry.version_id): -age for age, entry in enumerate(stack, 1)}
            insort(self._keys, key)
        return self._kept[key]

    def _keep(self, key: bytes, stack: list[Entry]) -> None:
        self._kept[key] = [
            msgspec.structs.replace(entry, is_latest=age == 0) if entry.is_latest != (age == 0) else entry
            for age, entry in enumerate(stack)
        ]


def _place(run: GeneratedRun, key: bytes) -> int:
    """The index of the first entry whose key is not before this one."""
    return bisect_left(range(len(run)), key, key=run.key)
