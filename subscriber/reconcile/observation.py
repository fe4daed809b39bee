"""Observations: what a listing or an inventory shows, as events that have one order with those of S3.

A listing has no sequencers, and LastModified cannot replace them: of a multipart upload it is the time of its
initiation, it has whole seconds, and two versions can share it. But a listing that began at server time T shows every
change that S3 had completed before T (S3 user guide, "Amazon S3 data consistency model"). So its facts are worth
T − margin: a sequencer made of that second, and a suffix that ranks the versions of one key. A fact that is ordered too
early is harmless, because it loses to the event that tells the same; one that is ordered too late would undo a change.

One fact has no time: a version other than the null version lives once, so its removal is final. Its tombstone is
ordered after everything. At T − margin, a slower listing that saw the version before it was removed would win.
docs/explanation/observations.md has the counterexample.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from subscriber.model import ListedVersion, ObjectEvent
from subscriber.reconcile.details import with_details

LISTED: Final = "Observed:List"
"""Event name of rows that a listing told."""
INVENTORIED: Final = "Observed:Inventory"
"""Event name of rows that an inventory told."""

MARGIN_SECONDS: Final = 15
"""It must exceed what two clocks of S3 may differ by: the one in the `Date` of an answer, and the one in sequencers.
AWS gives no limit; the proof (tests/reconcile) lets each be wrong by 5 seconds."""
INVENTORY_MARGIN_SECONDS: Final = 86_400
"""An inventory is eventually consistent and its scan takes hours (S3 user guide, "S3 Inventory consistency")."""

REMOVED_FOR_GOOD: Final = "F" * 8
"""Sequencer of the tombstone of a version that is not the null version: later than any second that S3 sends."""

_RANK_DIGITS = 8
_SECONDS_AT_MOST = 0xFFFF_FFFF


class Moment(msgspec.Struct, frozen=True):
    """What the facts of one listing or inventory are worth: the second at which they certainly held, or later.

    Raises:
        ValueError: the time minus the margin is no Unix second of 32 bits.
    """

    server_time: int
    """Unix second of the service's own clock, from the `Date` of an answer that came before the listing was asked for;
    of an inventory its creationTimestamp."""
    margin_seconds: int = MARGIN_SECONDS
    event_name: str = LISTED

    def __post_init__(self) -> None:
        if not 0 < self.second < _SECONDS_AT_MOST:
            raise ValueError(f"{self.server_time} s minus {self.margin_seconds} s is no Unix time")

    @property
    def second(self) -> int:
        """Unix second of the facts."""
        return self.server_time - self.margin_seconds

    @property
    def sequencer(self) -> str:
        """The earliest canonical sequencer of that second: only rows before it are judged by these facts."""
        return f"{self.second:08X}".rstrip("0")

    def sequencer_of(self, rank: int, stack_length: int = 1) -> str:
        """The canonical sequencer of the version with that rank in its key's stack, from 1 for the oldest."""
        return _ranked(self.second, rank, stack_length)


@functools.lru_cache(maxsize=1024)
def _ranked(second: int, rank: int, stack_length: int) -> str:
    """Kept, since nearly all stacks of a listing have the same few lengths."""
    digits = max(_RANK_DIGITS, (stack_length.bit_length() + 3) // 4)
    return f"{second:08X}{rank:0{digits}X}".rstrip("0")


def inventory_moment(created_at: int) -> Moment:
    """What an inventory's facts are worth.

    Args:
        created_at: creationTimestamp of its manifest, in Unix seconds.
    """
    return Moment(created_at, INVENTORY_MARGIN_SECONDS, INVENTORIED)


def observed_events(bucket: str, stack: Sequence[ListedVersion], moment: Moment) -> tuple[ObjectEvent, ...]:
    """The events that one key's whole stack amounts to, in the order given.

    The event time is the listed LastModified, because readers want it. It decides only between two observations with
    the same sequencer, which were made in the same second.

    Args:
        bucket: Its name.
        stack: The key's versions and delete markers, newest first. All of them: a derived order beside the sequencers
            of S3 would put an old version on top.
        moment: What the facts are worth.
    """
    length = len(stack)
    return tuple(
        with_details(
            ObjectEvent(
                bucket=bucket,
                key=version.key,
                version_id=version.version_id,
                state="delete_marker" if version.is_marker else "present",
                sequencer=moment.sequencer_of(length - position, length),
                event_name=moment.event_name,
                event_time=datetime.fromtimestamp(version.last_modified, UTC),
                size_bytes=None if version.is_marker else version.size_bytes,
                etag=None if version.is_marker else version.etag,
            ),
            version,
        )
        for position, version in enumerate(stack)
    )


def observed_removal(bucket: str, key: str, version_id: str, moment: Moment) -> ObjectEvent:
    """The tombstone of a version that the index has and a complete listing does not show."""
    return ObjectEvent(
        bucket=bucket,
        key=key,
        version_id=version_id,
        state="removed",
        sequencer=REMOVED_FOR_GOOD if version_id else moment.sequencer,
        event_name=moment.event_name,
        event_time=datetime.fromtimestamp(moment.second, UTC),
        size_bytes=None,
        etag=None,
    )
