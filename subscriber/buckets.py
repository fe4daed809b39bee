"""What is known of each bucket: what events have stored of it, and what the jobs that compared it have found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter

import msgspec

from subscriber.jobs import JobState
from subscriber.model import ObjectEvent

BUCKETS_IN_TALLY = 1000
"""Of which a process remembers what it stored, until that is noted; what it stores of further ones meanwhile is not."""


class BucketTally(msgspec.Struct):
    """What this process has stored of one bucket's events since it last noted that."""

    rows: int
    oldest: datetime
    """When the oldest of these events happened."""
    youngest: datetime
    first_at: float
    """When the first of them was stored; loop's clock."""
    last_at: float

    def add(self, other: BucketTally) -> None:
        """Both together."""
        self.rows += other.rows
        self.oldest = min(self.oldest, other.oldest)
        self.youngest = max(self.youngest, other.youngest)
        self.first_at = min(self.first_at, other.first_at)
        self.last_at = max(self.last_at, other.last_at)


class BucketTallies:
    """What this process has stored and not noted yet, by bucket."""

    def __init__(self) -> None:
        self._tallies: dict[str, BucketTally] = {}

    def add(self, rows: Sequence[ObjectEvent], now: float) -> None:
        """Count rows that were just committed.

        Args:
            rows: in the order of their buckets.
            now: loop's clock.
        """
        if not rows:
            return
        if rows[0].bucket == rows[-1].bucket:
            self._add(rows[0].bucket, rows, now)
            return
        for bucket, group in groupby(rows, attrgetter("bucket")):
            self._add(bucket, [*group], now)

    def _add(self, bucket: str, rows: Sequence[ObjectEvent], now: float) -> None:
        times = [row.event_time for row in rows]
        self._merge(bucket, BucketTally(len(times), min(times), max(times), now, now))

    def take(self) -> Mapping[str, BucketTally]:
        """Everything that is not noted yet; what is not noted after all is to be put back."""
        taken, self._tallies = self._tallies, {}
        return taken

    def put_back(self, taken: Mapping[str, BucketTally]) -> None:
        """What could not be noted."""
        for bucket, tally in taken.items():
            self._merge(bucket, tally)

    def _merge(self, bucket: str, tally: BucketTally) -> None:
        known = self._tallies.get(bucket)
        if known is not None:
            known.add(tally)
        elif len(self._tallies) < BUCKETS_IN_TALLY:
            self._tallies[bucket] = tally


class BucketEvents(msgspec.Struct, frozen=True):
    """What is noted of a bucket's events."""

    bucket: str
    has_rows: bool = True
    """Whether the index has a row of it, from wherever."""
    noted_at: datetime | None = None
    """When the daemons began to note it; None: no event of it was stored since the table `buckets` exists."""
    events_since: datetime | None = None
    """When its first event was stored; None with `noted_at`: before that."""
    oldest_event_time: datetime | None = None
    """When the oldest event since `noted_at` happened."""
    youngest_event_time: datetime | None = None
    last_stored_at: datetime | None = None
    """When the last event was stored."""
    event_rows: int = 0
    """Rows that events brought since `noted_at`; an estimate."""


class BucketJob(msgspec.Struct, frozen=True):
    """A job that compared a bucket, or a prefix of it, with the index, or filled the index from an inventory of it."""

    bucket: str
    job_id: int
    kind: str
    """`backfill`, `reconcile`, or `inventory`, which looks at no key of the bucket itself."""
    prefix: str
    repairs: bool
    """Whether it wrote what differed."""
    state: JobState
    created_at: datetime
    finished_at: datetime | None
    ranges: int = 1
    succeeded: int = 1
    failed: int = 0
    """Ranges that failed; a job may tolerate some."""
    missing: int = 0
    """Versions that differed, of each kind."""
    ghost: int = 0
    stale: int = 0
    written: int = 0
    """Rows that it wrote; some may be of keys that are too young to be judged."""

    @property
    def differences(self) -> int:
        """All versions that differed."""
        return self.missing + self.ghost + self.stale
