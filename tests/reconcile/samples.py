"""Versions, rows and contexts for the tests of this folder; times are seconds of one simulated clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from subscriber.model import IndexedVersion, ListedVersion, State
from subscriber.reconcile.compare import Context
from subscriber.reconcile.observation import Moment

NOW: Final = 1_790_000_000
"""When the listing begins."""
LONG_AGO: Final = NOW - 86_400
CONTEXT: Final = Context("lake", Moment(NOW))


def moment_of(second: int) -> datetime:
    """A Unix second as a time."""
    return datetime.fromtimestamp(second, UTC)


def listed(version_id: str = "", *, marker: bool = False, at: int = LONG_AGO, size: int | None = 1) -> ListedVersion:
    """A version or delete marker of the key `k`; the ETag follows from the size."""
    etag = None if size is None or marker else f"{size:032x}"
    return ListedVersion("k", version_id, marker, False, at, None if marker else size, etag)


def indexed(
    version_id: str = "",
    *,
    state: State = "present",
    at: int = LONG_AGO,
    size: int | None = 1,
    ingested_at: int | None = None,
) -> IndexedVersion:
    """A row of the key `k`, written by an event of the second `at`."""
    told = size if state == "present" else None
    return IndexedVersion(
        key="k",
        version_id=version_id,
        state=state,
        sequencer=f"{at:08X}00000001",
        size_bytes=told,
        etag=None if told is None else f"{told:032x}",
        event_time=moment_of(at),
        ingested_at=moment_of(at if ingested_at is None else ingested_at),
    )
