"""What a job has found, as text or JSON. Keys come from elsewhere: what is not printable is escaped."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec

from subscriber.jobs import Counters, DriftExample
from subscriber.quarantine.render import printable

_MILLION = 1_000_000


class Report(msgspec.Struct, frozen=True):
    """What `--format json` prints."""

    job_id: int | None
    """None for `--range`, which has no row."""
    bucket: str
    prefix: str
    state: str
    repair: bool
    drift: bool
    """Whether anything differed."""
    counters: Counters
    begun_again: int
    """Ranges that were taken more than once: what a worker had written of a page and not committed is not counted."""
    unjudged: int
    """Keys that were not judged, seen by this process."""
    looked_at_once: int
    """Versions counted without a second look, by this process."""
    youngest: str | None
    """When what differs changed last, as this process has seen it: RFC 3339, UTC."""
    cost_usd: float
    """Of the requests, by SUBSCRIBER_LIST_PRICE_PER_MILLION."""
    examples: tuple[DriftExample, ...]


def cost_usd(requests: int, price_per_million: float) -> float:
    """The price of so many requests: requests × price / 1,000,000."""
    return round(requests * price_per_million / _MILLION, 6)


def has_drift(counters: Counters) -> bool:
    """Whether anything differed."""
    return bool(counters.missing or counters.ghost or counters.stale)


def utc_text(second: int | None) -> str | None:
    """A Unix second as RFC 3339."""
    return None if second is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))


def report_text(report: Report) -> Iterator[str]:
    """A few lines for people."""
    counters = report.counters
    place = printable(f"s3://{report.bucket}/{report.prefix}")
    name = "range" if report.job_id is None else f"job {report.job_id}"
    yield f"{place}: {name} {report.state}{', with repair' if report.repair else ''}"
    youngest = f"; the youngest changed at {report.youngest}" if report.youngest else ""
    found = counters_text(counters)
    facts = found | {
        "listed": f"{found['listed']}, ${report.cost_usd:.6f}",
        "drift": f"{found['drift']}{youngest}",
    }
    if report.repair and report.begun_again:  # their last page was repaired, and not counted
        facts |= {name: f"at least {facts[name]}" for name in ("drift", "written")}
    if report.unjudged:
        facts["unjudged"] = f"{report.unjudged} keys: versions that this listing does not show, or too many of them"
    if report.looked_at_once:
        facts["once"] = f"{report.looked_at_once} versions differ by one look alone: too many for a second one"
    yield from (f"  {key:<10} {value}" for key, value in facts.items())
    for each in report.examples:
        yield f"  {each.kind:<10} {printable(each.key)}"


def counters_text(counters: Counters) -> dict[str, str]:
    """What a comparison has counted, by the word for it."""
    return {
        "listed": f"{_counted(counters.listed, 'version')} in {_counted(counters.requests, 'request')}",
        "drift": (
            f"{counters.missing} missing, {_counted(counters.ghost, 'ghost')}, {counters.stale} stale: "
            f"{_counted(counters.bytes, 'byte')}"
        ),
        "fresh": f"{_counted(counters.fresh, 'key')} too young to be judged",
        "written": _counted(counters.written, "row"),
    }


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class Seen(msgspec.Struct, frozen=True):
    """What a line of progress tells."""

    counters: Counters
    expected: int
    """Versions that the index had when the job began; 0 if that is not known."""
    began_with: int
    """Versions that had been listed when this process joined."""
    cost_usd: float


def progress_text(seen: Seen, elapsed_seconds: float) -> str:
    """Versions listed, their rate, what remains by the index, drift, rows written and the cost so far."""
    counters = seen.counters
    done = counters.listed - seen.began_with
    rate = done / elapsed_seconds if elapsed_seconds > 0 else 0.0
    missing_part = max(0, seen.expected - counters.listed)
    left = f", about {missing_part / rate:.0f} s left" if rate and missing_part else ""
    drift = counters.missing + counters.ghost + counters.stale
    return (
        f"{counters.listed} versions, {rate:.0f}/s{left}; {drift} differ, {counters.written} rows written, "
        f"${seen.cost_usd:.4f}"
    )
