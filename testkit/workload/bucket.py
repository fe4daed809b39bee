"""A simulated S3 bucket: its object versions, and the event that S3 would emit for every change.

It is the oracle of the tests, the demo and the chaos tests. It implements how a bucket behaves (S3 user guide, "Using
versioning in S3 buckets", "Deleting objects from versioning-suspended buckets") and shares no code with the
subscriber: the expected rows come from the contents of the bucket, never from the events.

Sequencers have the form of S3's: `00`, eight hex digits of the Unix second, and eight more that grow. The time of an
event is up to a second off, as on AWS, so that a consumer that orders by time fails. The clock of the sequencers may be
given an error too, which another server's clock does not share.
"""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final, Literal, TypeAlias

import msgspec

Versioning: TypeAlias = Literal["unversioned", "enabled", "suspended"]
RowState: TypeAlias = Literal["present", "delete_marker", "removed", "unchanged"]
"""Of rows; `unchanged` is the state of an event that changes none, and in no table."""

EMPTY_ETAG: Final = "d41d8cd98f00b204e9800998ecf8427e"
"""MD5 of the empty string: the ETag of every delete marker."""
NULL_VERSION: Final = ""
"""How the index writes S3's version id `null`, and the only version of an unversioned bucket."""
START: Final = datetime(2026, 8, 2, 7, 51, 20, tzinfo=UTC)
_VERSION_ALPHABET = string.ascii_letters + string.digits + "._"
_VERSION_CHARACTERS = 32
_MAX_SKEW_MILLISECONDS = 1000
_MAX_PAUSE_MILLISECONDS = 400


class Emission(msgspec.Struct, frozen=True, gc=False):
    """One event of S3, without an envelope."""

    bucket: str
    key: str
    version_id: str | None
    """`null` or None for the null version: S3 does not document which of the two it sends."""
    event_name: str
    event_time: datetime
    sequencer: str
    size_bytes: int | None = None
    etag: str | None = None


class Version(msgspec.Struct, frozen=True, gc=False):
    """One version or delete marker of a key."""

    version_id: str
    is_marker: bool
    size_bytes: int | None
    etag: str
    last_modified: int = 0
    """Unix second of its creation; of a multipart upload, of its initiation."""
    number: int = 0
    """Grows with every version of the bucket, in the order of their creation."""


class Upload(msgspec.Struct, frozen=True, gc=False):
    """A multipart upload that was initiated, and can be completed any time later."""

    key: str
    initiated_at: datetime


class VersionRow(msgspec.Struct, frozen=True, gc=False, order=True):
    """The expected row of one version after all events."""

    bucket: str
    key: str
    version_id: str
    state: RowState
    size_bytes: int | None
    etag: str | None


class ObjectRow(msgspec.Struct, frozen=True, gc=False, order=True):
    """The expected row of one key in the view `objects`, as ListObjectsV2 would list it."""

    bucket: str
    key: str
    version_id: str
    size_bytes: int | None
    etag: str | None


class SimulatedBucket:
    """A bucket with all operations that create or remove object versions.

    Every change appends S3's event to `history`. An operation without an effect appends nothing.
    """

    def __init__(
        self,
        name: str,
        random: Random,
        *,
        versioning: Versioning = "unversioned",
        start: datetime = START,
        clock_error_seconds: int = 0,
    ) -> None:
        self.name = name
        self.versioning: Versioning = versioning
        self.history: list[Emission] = []
        self._random = random
        self._now = start
        self._clock_error_seconds = clock_error_seconds
        self._last_sequence = 0
        self._last_number = 0
        self._stacks: dict[str, list[Version]] = {}
        self._ever: set[tuple[str, str]] = set()

    def keys(self) -> list[str]:
        """All keys that have or had a version."""
        return sorted({key for key, _ in self._ever})

    def version_ids(self, key: str) -> list[str]:
        """The current versions and delete markers of a key, oldest first."""
        return [version.version_id for version in self._stacks.get(key, [])]

    @property
    def now(self) -> datetime:
        """The true time, which no server's clock need agree with."""
        return self._now

    def stacks(self) -> dict[str, tuple[Version, ...]]:
        """The current versions and delete markers of each key that has any, oldest first, in the order of keys."""
        return {key: tuple(self._stacks[key]) for key in sorted(self._stacks)}

    def is_current(self, key: str) -> bool:
        """Whether a GET of the key would return an object."""
        stack = self._stacks.get(key)
        return stack is not None and not stack[-1].is_marker

    def enable_versioning(self) -> None:
        """From now on every write creates a version; a bucket cannot become unversioned again."""
        self.versioning = "enabled"

    def suspend_versioning(self) -> None:
        """From now on every write replaces the null version; earlier versions remain."""
        if self.versioning == "enabled":
            self.versioning = "suspended"

    def pass_time(self, seconds: float) -> None:
        """Advance the bucket's clock."""
        self._now += timedelta(seconds=seconds)

    def put(self, key: str, size_bytes: int, *, event_name: str = "ObjectCreated:Put") -> None:
        """PutObject; PostObject and CopyObject differ in the event name only."""
        self._add(key, self._version(size_bytes, self._digest()), event_name)

    def initiate_multipart(self, key: str) -> Upload:
        """CreateMultipartUpload: nothing is visible yet."""
        return Upload(key, self._now)

    def complete_multipart(self, key: str, size_bytes: int, parts: int, upload: Upload | None = None) -> None:
        """CompleteMultipartUpload of `upload`, or of one initiated now: the ETag ends with the number of parts."""
        version = self._version(size_bytes, f"{self._digest()}-{parts}", upload.initiated_at if upload else None)
        self._add(key, version, "ObjectCreated:CompleteMultipartUpload")

    def delete(self, key: str, *, family: str = "ObjectRemoved") -> None:
        """DELETE without a version id: removes the object, or adds a delete marker if there is versioning."""
        if self.versioning == "unversioned":
            if key in self._stacks:
                self._remove(key, NULL_VERSION, f"{family}:Delete")
            return
        marker = msgspec.structs.replace(self._version(None, EMPTY_ETAG), is_marker=True)
        self._add(key, marker, f"{family}:DeleteMarkerCreated")

    def expire(self, key: str) -> None:
        """Lifecycle expiration of the current object: as `delete`, with other event names."""
        if self.is_current(key):
            self.delete(key, family="LifecycleExpiration")

    def delete_version(self, key: str, version_id: str, *, family: str = "ObjectRemoved") -> None:
        """DELETE of one version, permanently; of a delete marker, this is an undelete."""
        if version_id in self.version_ids(key):
            self._remove(key, version_id, f"{family}:Delete")

    def expire_version(self, key: str, version_id: str) -> None:
        """Lifecycle removes a noncurrent version, or an expired object delete marker."""
        self.delete_version(key, version_id, family="LifecycleExpiration")

    def expected_versions(self) -> list[VersionRow]:
        """One row for every version that exists or existed, in key order; removed ones are tombstones."""
        rows = {
            (key, version_id): VersionRow(self.name, key, version_id, "removed", None, None)
            for key, version_id in self._ever
        }
        for key, stack in self._stacks.items():
            for version in stack:
                state: RowState = "delete_marker" if version.is_marker else "present"
                rows[key, version.version_id] = VersionRow(
                    self.name, key, version.version_id, state, version.size_bytes, version.etag
                )
        return sorted(rows.values(), key=lambda row: (row.key, row.version_id))

    def expected_objects(self) -> list[ObjectRow]:
        """The rows that ListObjectsV2 would list, in key order."""
        tops = [(key, self._stacks[key][-1]) for key in sorted(self._stacks) if self.is_current(key)]
        return [ObjectRow(self.name, key, top.version_id, top.size_bytes, top.etag) for key, top in tops]

    def _add(self, key: str, version: Version, event_name: str) -> None:
        stack = self._stacks.setdefault(key, [])
        stack[:] = [held for held in stack if held.version_id != version.version_id]
        stack.append(version)
        self._ever.add((key, version.version_id))
        self._emit(key, version.version_id, event_name, version)

    def _remove(self, key: str, version_id: str, event_name: str) -> None:
        stack = self._stacks[key]
        stack[:] = [held for held in stack if held.version_id != version_id]
        if not stack:
            del self._stacks[key]
        self._emit(key, version_id, event_name, None)

    def _emit(self, key: str, version_id: str, event_name: str, version: Version | None) -> None:
        self._now += timedelta(milliseconds=self._random.randint(0, _MAX_PAUSE_MILLISECONDS))
        skew = timedelta(milliseconds=self._random.randint(-_MAX_SKEW_MILLISECONDS, _MAX_SKEW_MILLISECONDS))
        emission = Emission(
            bucket=self.name,
            key=key,
            version_id=self._emitted_version_id(version_id),
            event_name=event_name,
            event_time=self._now + skew,
            sequencer=self._next_sequencer(),
            size_bytes=version.size_bytes if version else None,
            etag=version.etag if version else None,
        )
        self.history.append(emission)

    def _version(self, size_bytes: int | None, etag: str, initiated_at: datetime | None = None) -> Version:
        self._last_number += 1
        return Version(
            self._next_version_id(),
            is_marker=False,
            size_bytes=size_bytes,
            etag=etag,
            last_modified=int((initiated_at or self._now).timestamp()),
            number=self._last_number,
        )

    def _next_version_id(self) -> str:
        if self.versioning != "enabled":
            return NULL_VERSION
        return "".join(self._random.choices(_VERSION_ALPHABET, k=_VERSION_CHARACTERS))

    def _emitted_version_id(self, version_id: str) -> str | None:
        if version_id != NULL_VERSION:
            return version_id
        return None if self.versioning == "unversioned" else self._random.choice((None, "null"))

    def _next_sequencer(self) -> str:
        # Without an error nothing is drawn: the histories of seeds stay as they were.
        most = self._clock_error_seconds
        error = self._random.randint(-most, most) if most else 0
        earliest = (int(self._now.timestamp()) + error) << 32
        self._last_sequence = max(self._last_sequence, earliest) + self._random.randint(1, 1 << 20)
        return f"00{self._last_sequence:016X}"

    def _digest(self) -> str:
        return f"{self._random.getrandbits(128):032x}"
