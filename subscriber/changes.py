"""What the history tells: changes of the index, and differences between two moments. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

Kind: TypeAlias = Literal[
    "created", "overwritten", "deleted", "marked deleted", "marker removed", "marker written", "erased", "noted"
]
"""What a change did to a version; see `kind_of`."""
DifferenceKind: TypeAlias = Literal["added", "removed", "changed"]

_KIND_OF_REMOVAL: Final[Mapping[str, Kind]] = {"present": "deleted", "delete_marker": "marker removed"}


class TendedDays(NamedTuple):
    """What was done to the partitions of the history."""

    made: int
    dropped: int
    days_ahead: int | None
    """Days after today that have a partition, without a gap; None: the feature is off, or another session is at it."""


class Change(msgspec.Struct, frozen=True):
    """One change of a row of the index, and what the row had been."""

    bucket: str
    key: str
    version_id: str
    recorded_at: datetime
    """When it was written to the index, by the clock of the database."""
    state: str | None
    """As in the index; None: somebody deleted the row itself."""
    event_name: str | None
    event_time: datetime | None
    size_bytes: int | None
    etag: str | None
    old_state: str | None
    """What it had been; None: the index had no such row."""
    old_event_name: str | None
    old_event_time: datetime | None
    old_size_bytes: int | None
    old_etag: str | None
    requester: str | None = None
    """Who made the request, as its event named it: only with SUBSCRIBER_KEEP_REQUESTER, as the next two."""
    remote_ip: str | None = None
    request_id: str | None = None


class Difference(msgspec.Struct, frozen=True):
    """An object at two moments; a time of None says that it did not exist then."""

    key: str
    old_version_id: str | None
    old_size_bytes: int | None
    old_etag: str | None
    old_event_time: datetime | None
    version_id: str | None
    size_bytes: int | None
    etag: str | None
    event_time: datetime | None


class DifferenceSums(msgspec.Struct):
    """How many objects differ, and by how many bytes in all."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    bytes_more: int = 0
    """What the objects hold at the second moment, less what they held at the first."""

    def add(self, difference: Difference) -> None:
        """Count one."""
        kind = difference_kind(difference)
        setattr(self, kind, getattr(self, kind) + 1)
        self.bytes_more += (difference.size_bytes or 0) - (difference.old_size_bytes or 0)


def kind_of(change: Change) -> Kind:
    """What a change did to its version.

    `erased` is a deletion of the row by hand; `noted` is a deletion of what the index did not have.
    """
    if change.state is None:
        return "erased"
    before = "removed" if change.old_state is None else change.old_state
    if change.state == "removed":
        return _KIND_OF_REMOVAL.get(before, "noted")
    if change.state == "delete_marker":
        return "marker written" if before == "delete_marker" else "marked deleted"
    return "overwritten" if before == "present" else "created"


def difference_kind(difference: Difference) -> DifferenceKind:
    """Whether an object is there at the second moment only, at the first only, or at both."""
    if difference.old_event_time is None:
        return "added"
    return "removed" if difference.event_time is None else "changed"
