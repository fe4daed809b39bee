"""How complete the index is of a bucket, as far as its jobs and events tell. Pure.

Events tell what changed since the subscription; what was there before, only a job that looked at every key. What it
found holds from its end on, as long as events arrive, until another comparison finds a difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Literal, TypeAlias

import msgspec

from subscriber.buckets import BucketEvents, BucketJob

Kind: TypeAlias = Literal["complete", "differs", "filled", "partial", "events_only", "rows_only", "unknown"]
"""What the index has of a bucket.

| kind | meaning |
| --- | --- |
| `complete` | a listing of the whole bucket and the index were equal, or were made so |
| `differs` | the last comparison of the whole bucket found differences, and nothing repaired them |
| `filled` | an inventory or a list of keys was added; whether it had every key, no comparison tells |
| `partial` | jobs looked at prefixes only, or left failed ranges out |
| `events_only` | no job has ended well: what was there before the first event is missing |
| `rows_only` | rows that neither an event of a daemon nor a job accounts for, as of `--range` or a replay |
| `unknown` | no row, no event and no job |
"""

LISTING_KINDS = frozenset({"backfill", "reconcile"})
"""Jobs that look at the bucket itself."""


class Completeness(msgspec.Struct, frozen=True):
    """What the jobs of one bucket, or of one prefix, come to."""

    complete_since: datetime | None = None
    """When the last job ended before which a difference is known; from then on none is."""
    filled_at: datetime | None = None
    """When an inventory was last added."""
    last: BucketJob | None = None
    """The last complete comparison by a listing."""
    partial: BucketJob | None = None
    """The last job that succeeded without some of its ranges, if none has been complete since."""
    unfinished: BucketJob | None = None
    """A job after all these that runs, is paused, or has ended badly."""

    @property
    def differs(self) -> bool:
        """Whether differences are known that nothing has repaired."""
        return self.last is not None and self.complete_since is None


class Judgment(msgspec.Struct, frozen=True):
    """How complete the index is of one bucket."""

    events: BucketEvents
    kind: Kind
    whole: Completeness
    """What the jobs of the whole bucket come to."""
    prefixes: tuple[tuple[str, Completeness], ...] = ()
    """What those of prefixes come to; only of such as say more than `whole`."""


def judgments(events: Sequence[BucketEvents], jobs: Iterable[BucketJob]) -> list[Judgment]:
    """A judgment for each of `events`, in their order.

    Args:
        events: of each bucket.
        jobs: of these buckets, of each bucket and prefix the oldest first.
    """
    by_place: dict[str, dict[str, Completeness]] = {}
    for (bucket, prefix), group in groupby(jobs, attrgetter("bucket", "prefix")):
        by_place.setdefault(bucket, {})[prefix] = completeness([*group])
    return [_judgment(each, by_place.get(each.bucket, {})) for each in events]


def completeness(jobs: Sequence[BucketJob]) -> Completeness:
    """What the jobs of one place come to, the oldest first."""
    found = Completeness()
    for job in jobs:
        found = _after(found, job)
    return found


def _after(found: Completeness, job: BucketJob) -> Completeness:
    replace = msgspec.structs.replace
    if job.state != "succeeded" or job.finished_at is None:
        return replace(found, unfinished=job)
    found = replace(found, unfinished=None)
    if job.failed:
        return replace(found, partial=job)
    if job.kind not in LISTING_KINDS:
        return replace(found, filled_at=job.finished_at, partial=None)
    found = replace(found, last=job, partial=None)
    if job.differences and not job.repairs:
        return replace(found, complete_since=None)
    if job.differences or found.complete_since is None:
        return replace(found, complete_since=job.finished_at)
    return found


def _judgment(events: BucketEvents, places: dict[str, Completeness]) -> Judgment:
    whole = places.get("", Completeness())
    prefixes = tuple((prefix, each) for prefix, each in places.items() if prefix and _adds_to(whole, each))
    return Judgment(events, _kind(events, whole, prefixes), whole, prefixes)


def _adds_to(whole: Completeness, prefix: Completeness) -> bool:
    """Whether what is known of a prefix is more than what is known of all keys."""
    if prefix.last is None or whole.last is None:
        return whole.last is None and (prefix.last is not None or prefix.filled_at is not None)
    return prefix.differs and _end(prefix.last) > _end(whole.last)


def _end(job: BucketJob) -> datetime:
    return job.finished_at or job.created_at


def _kind(events: BucketEvents, whole: Completeness, prefixes: Sequence[tuple[str, Completeness]]) -> Kind:
    if whole.differs or (whole.complete_since is not None and prefixes):
        return "differs"
    if whole.complete_since is not None:
        return "complete"
    if whole.filled_at is not None:
        return "filled"
    if whole.partial is not None or prefixes:
        return "partial"
    if events.noted_at is not None:
        return "events_only"
    return "rows_only" if events.has_rows else "unknown"
