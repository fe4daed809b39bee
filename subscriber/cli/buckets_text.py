"""What is known of buckets, as text and as JSON. Names come from elsewhere: what is not printable is escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from shlex import quote

import msgspec

from subscriber.buckets import BucketEvents, BucketJob
from subscriber.quarantine.render import printable, table, time_text
from subscriber.reconcile.completeness import Completeness, Judgment, Kind

_PREFIXES_SHOWN = 5


class BucketReport(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `--format json`. Times are the database's, in UTC, except for those of events, which are S3's."""

    bucket: str
    kind: Kind
    sentence: str
    """What the table shows."""
    complete_since: datetime | None
    """From when on no difference between bucket and index is known; None: they were never found equal."""
    compared_at: datetime | None
    """When the last listing of the whole bucket was compared from end to end."""
    compared_by_job: int | None
    missing: int
    """What that comparison found."""
    ghost: int
    stale: int
    repaired: bool
    """Whether that comparison repaired it."""
    written: int
    """Rows that it wrote; some may be of keys that are too young to be judged."""
    filled_at: datetime | None
    """When an inventory or a list of keys was last added."""
    prefixes: tuple[str, ...]
    """Prefixes that say more than the whole bucket does; their jobs are in `subscriber jobs list`."""
    has_rows: bool
    events_noted_since: datetime | None
    events_since: datetime | None
    """When the first event was stored; null with `events_noted_since`: before that."""
    oldest_event_time: datetime | None
    youngest_event_time: datetime | None
    last_stored_at: datetime | None
    event_rows: int
    """Rows that events brought since `events_noted_since`; an estimate."""


def buckets_table(found: Sequence[Judgment], now: datetime) -> Iterator[str]:
    """A line for each bucket."""
    yield from table(
        [("bucket", "youngest event", "rows by events", "known")]
        + [
            (
                printable(each.events.bucket),
                time_text(each.events.youngest_event_time) if each.events.youngest_event_time else "none noted",
                f"about {each.events.event_rows}" if each.events.event_rows else "0",
                sentence(each, now),
            )
            for each in found
        ]
    )


def report_of(judgment: Judgment, now: datetime) -> BucketReport:
    """One line of JSON."""
    events, whole = judgment.events, judgment.whole
    last = whole.last
    return BucketReport(
        bucket=events.bucket,
        kind=judgment.kind,
        sentence=sentence(judgment, now),
        complete_since=whole.complete_since,
        compared_at=last.finished_at if last else None,
        compared_by_job=last.job_id if last else None,
        missing=last.missing if last else 0,
        ghost=last.ghost if last else 0,
        stale=last.stale if last else 0,
        repaired=last.repairs if last else False,
        written=last.written if last else 0,
        filled_at=whole.filled_at,
        prefixes=tuple(prefix for prefix, _ in judgment.prefixes),
        has_rows=events.has_rows,
        events_noted_since=events.noted_at,
        events_since=events.events_since,
        oldest_event_time=events.oldest_event_time,
        youngest_event_time=events.youngest_event_time,
        last_stored_at=events.last_stored_at,
        event_rows=events.event_rows,
    )


def sentence(judgment: Judgment, now: datetime) -> str:
    """What is known of a bucket, and what to run where something is missing."""
    parts = [_main_clause(judgment, now)]
    if judgment.whole.last is not None:
        parts.append(_comparison(judgment.whole.last, now))
    if judgment.whole.unfinished is not None:
        parts.append(_unfinished(judgment.whole.unfinished))
    if (remedy := _remedy(judgment)) is not None:
        parts.append(remedy)
    return "; ".join(parts)


def ago_text(time: datetime, now: datetime) -> str:
    """How long ago something was, in its largest unit: `2 h ago`."""
    seconds = max(0, int((now - time).total_seconds()))
    for unit, length in (("days", 172_800), ("h", 7200), ("min", 120)):
        if seconds >= length:
            return f"{seconds // (length // 2)} {unit} ago"
    return f"{seconds} s ago"


def _main_clause(judgment: Judgment, now: datetime) -> str:
    whole, events = judgment.whole, judgment.events
    if judgment.kind == "complete" and whole.complete_since is not None:
        no_event = "" if events.noted_at is not None else ", and no event was noted"
        return f"complete since {time_text(whole.complete_since)}{no_event}"
    if judgment.kind == "differs":
        return "incomplete" if whole.differs else f"incomplete {_below(judgment.prefixes)}"
    if judgment.kind == "filled" and whole.filled_at is not None:
        filled = f"filled from an inventory or list of keys {ago_text(whole.filled_at, now)}"
        return f"{filled} and not compared since; {_events(events)}"
    if judgment.kind == "partial":
        return f"{_partial(judgment)}; {_events(events)}"
    return _NOT_COMPARED[judgment.kind].format(_events(events))


_NOT_COMPARED = {
    "events_only": "{}; nothing from before",
    "rows_only": "rows, but no event was noted and no job has compared it",
    "unknown": "nothing is known of it: no event was stored and no job has compared it",
}


def _partial(judgment: Judgment) -> str:
    if (job := judgment.whole.partial) is not None:
        return f"job {job.job_id} left out {job.failed} of {job.ranges} ranges"
    return f"compared only {_below(judgment.prefixes)}"


def _events(events: BucketEvents) -> str:
    if events.events_since is not None:
        return f"only events since {time_text(events.events_since)}"
    if events.noted_at is not None:
        return f"only events, the first of them before {time_text(events.noted_at)}"
    return "no event was noted"


def _comparison(job: BucketJob, now: datetime) -> str:
    """What the last complete comparison found."""
    verb = {"backfill": "filled", "reconcile": "compared"}[job.kind]
    kinds = ", ".join(f"{count} {kind}" for kind in ("missing", "ghost", "stale") if (count := getattr(job, kind)))
    count = "1 difference" if job.differences == 1 else f"{job.differences} differences"
    found = f"{count} ({kinds})" if kinds else count
    written = "1 row" if job.written == 1 else f"{job.written} rows"
    if not job.differences and not job.written:
        repaired = ""
    else:
        repaired = f", {written} written" if job.repairs else ", not repaired"
    return f"{verb} {ago_text(job.finished_at or job.created_at, now)} by job {job.job_id}: {found}{repaired}"


def _unfinished(job: BucketJob) -> str:
    what = f"job {job.job_id} ({job.kind}) "
    if job.state == "failed":
        return f"{what}failed: `subscriber jobs show {job.job_id}`"
    if job.state == "cancelled":
        return f"{what}was cancelled"
    resume = f", `subscriber jobs resume {job.job_id}` lets it go on" if job.state == "paused" else ""
    return f"{what}is {job.state}: {job.succeeded} of {job.ranges} ranges done{resume}"


def _below(prefixes: Sequence[tuple[str, Completeness]]) -> str:
    """Prefixes for a person; a long list is cut."""
    shown = prefixes[:_PREFIXES_SHOWN]
    names = [f"{printable(prefix)}{' (differs)' if each.differs else ''}" for prefix, each in shown]
    rest = len(prefixes) - len(names)
    return f"below {', '.join(names)}" + (f" and {rest} more" if rest else "")


def _remedy(judgment: Judgment) -> str | None:
    """The command that would make it complete; None where nothing is to be done, or a job is at it."""
    unfinished = judgment.whole.unfinished
    if judgment.kind == "complete" or (unfinished is not None and unfinished.state in {"running", "paused"}):
        return None
    place = quote(printable(f"s3://{judgment.events.bucket}"))
    command = {"differs": "reconcile --repair", "filled": "reconcile"}.get(judgment.kind, "backfill")
    return f"run `subscriber {command} {place}`"
