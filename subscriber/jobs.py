"""Jobs and their ranges of keys, as the tables `jobs` and `job_ranges` hold them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from subscriber.model import KeyRange

JobState: TypeAlias = Literal["running", "paused", "succeeded", "failed", "cancelled"]
"""State of a job; a `running` one may wait for a worker."""

RangeState: TypeAlias = Literal["pending", "running", "succeeded", "failed"]
"""State of a range; a `running` one belongs to a worker as long as its lease."""

DriftKind: TypeAlias = Literal["missing", "ghost", "stale"]
"""How a key's rows differ from the bucket: not in the index, not in the bucket, or with other content or order."""

EXAMPLES_PER_RANGE = 20
"""Keys that a range remembers as examples of drift."""

CONCURRENCY_AT_MOST = 1000
"""Of one job; the table has the same bound."""


class Tolerance(msgspec.Struct, frozen=True):
    """How many ranges may fail before the job does: a number, or a percentage of all ranges; one of them is None."""

    failures: int | None = 0
    percent: float | None = None


class JobOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a job does with what it finds; it never changes."""

    repair: bool = False
    """Write what differs; otherwise only count it."""
    margin_seconds: int = 15
    """How much earlier than their moment facts are ordered."""
    grace_seconds: int | None = None
    """How old a key must be to be judged; None: by the lag of the fleet."""
    share: float = 0.5
    """The part of the concurrency limit that the job may use, 0 … 1."""
    anyway: bool = False
    """Go on although the bucket does not send its events to a queue of ours."""
    versions: bool = True
    """List all versions; False: of a bucket that was never versioned."""
    inventory: str = ""
    """Where the inventory or the list of keys is that the job reads instead of the bucket; its ranges are files."""
    inventory_format: str = ""
    """Of `inventory`; empty where it was recognized."""
    inventory_digest: str = ""
    """Of the names and checksums of its files: another inventory at the same place is not the job's."""


class NewJob(msgspec.Struct, frozen=True):
    """A job to create."""

    kind: str
    """As in `reconcile`."""
    bucket: str
    prefix: str
    ranges: tuple[KeyRange, ...]
    """At least one; they cover the keys of the prefix, and none overlaps another."""
    created_by: str
    options: JobOptions = JobOptions()
    concurrency: int = 8
    tolerance: Tolerance = Tolerance()


class Counters(msgspec.Struct, frozen=True):
    """What was counted, of a page, a range or a job."""

    listed: int = 0
    """Versions and delete markers that the bucket listed."""
    written: int = 0
    """Rows that were written."""
    missing: int = 0
    ghost: int = 0
    stale: int = 0
    fresh: int = 0
    """Keys that are too young to be judged."""
    requests: int = 0
    """Requests to S3."""
    bytes: int = 0
    """Bytes of the objects that differ."""


class DriftExample(msgspec.Struct, frozen=True):
    """A key that differs."""

    kind: DriftKind
    key: str


class PageDone(msgspec.Struct, frozen=True):
    """A page of a range that is done: everything it calls for is committed."""

    position: str
    """The last key all of whose versions are done; the next page begins after it. Every page moves it forward."""
    moment: int
    """Unix second of the listing service at which the attempt began."""
    counters: Counters = Counters()
    examples: tuple[DriftExample, ...] = ()
    reached: str = ""
    """Up to this key the worker has keys in work beside those that are done: the range is cut behind it only. Empty: it
    has none."""


class RangeCounts(msgspec.Struct, frozen=True):
    """How many ranges of a job are in each state."""

    pending: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.pending + self.running + self.succeeded + self.failed


class JobRange(msgspec.Struct, frozen=True):
    """One row of `job_ranges`."""

    job_id: int
    number: int
    """From 1, unique within the job."""
    keys: KeyRange
    position: str | None
    """The last key done; None before the first."""
    state: RangeState
    attempts: int
    """How often a worker took it since the position last moved."""
    claims: int
    """How often a worker took it at all: whoever has an older number no longer holds it."""
    worker: str | None
    lease_until: datetime | None
    moment: int | None
    """Unix second of the listing service at which the present attempt began."""
    counters: Counters
    examples: tuple[DriftExample, ...]
    error: str | None
    started_at: datetime | None
    finished_at: datetime | None
    cut_at: str | None = None
    """The key after which an idle worker wants to take the rest."""

    @property
    def remaining(self) -> KeyRange:
        """The keys that are not done yet."""
        return KeyRange(self.keys.after if self.position is None else self.position, self.keys.upto)


class Claim(msgspec.Struct, frozen=True):
    """A range that a worker has just taken."""

    held: JobRange
    concurrency: int
    """Of its job, at that moment."""


class Job(msgspec.Struct, frozen=True):
    """One row of `jobs`, with the sums of its ranges."""

    job_id: int
    kind: str
    bucket: str
    prefix: str
    options: JobOptions
    state: JobState
    concurrency: int
    """Ranges that all workers together have in work at most."""
    tolerance: Tolerance
    created_by: str
    created_at: datetime
    started_at: datetime | None
    """When a worker first took a range."""
    finished_at: datetime | None
    ranges: RangeCounts
    counters: Counters
    begun_again: int = 0
    """Ranges that were taken more than once: what a worker had in work at its end was done again."""


class RangeOrders(msgspec.Struct, frozen=True):
    """What a worker learns with every commit about the range it holds."""

    upto: str | None
    """The end of its range now: another worker may have taken the keys after it."""
    job_state: JobState
    concurrency: int
    is_cut_asked: bool = False
    """Whether an idle worker wanted its end, which the next page answers."""


class BucketJobs(msgspec.Struct, frozen=True):
    """What the jobs that compared a whole bucket with the index say about it."""

    bucket: str
    unfinished_id: int | None = None
    """The job of the schedule that goes on, or waits for a worker."""
    is_paused: bool = False
    """Whether an operator has paused it."""
    ended_id: int | None = None
    """The last job that ended, in any way."""
    has_failed: bool = False
    """Whether that one failed."""
    ended_seconds: float | None = None
    """How long ago it ended."""
    complete_seconds: float | None = None
    """How long ago the last job ended that looked at every key; None: never."""
    missing: int = 0
    """What that one found."""
    ghost: int = 0
    stale: int = 0
