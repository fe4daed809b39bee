"""The result of a run, and the text of its errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from benchmarks.chaos.plan import VERSION, Plan
from subscriber.model import ObjectEvent
from testkit.checker.history import Finding

TRACES_AT_MOST: Final = 5
"""Per kind of error; there may be thousands of one kind."""


class RunResult(msgspec.Struct, frozen=True):
    """One run: a line of the record."""

    plan: Plan
    seconds: float = 0.0
    events: int = 0
    """Readable events in all messages together."""
    stored: int = 0
    quarantined: int = 0
    receives: int = 0
    most_receives: int = 0
    """The largest number of receives of one message."""
    healthy_wait_seconds: float = 0.0
    """The longest that a healthy message waited beside the faults (`testkit/checker/healthy_wait.py`)."""
    healthy_wait_bound_seconds: float = 0.0
    """0: the run is not judged by it."""
    healthy_waits_exceeded: int = 0
    """How many healthy messages waited longer than the bound. No error: it depends on the machine as well."""
    errors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    symptoms: dict[str, int] = {}
    """Warnings and failures in the daemons' logs and metrics, and how often: they show that a fault had an effect."""
    version: int = VERSION

    @property
    def is_flawless(self) -> bool:
        """Whether the run had no error."""
        return not self.errors


def traces(findings: Sequence[Finding]) -> Iterator[str]:
    """The findings of a history as text: the number of each kind, with its first few traces."""
    for kind in dict.fromkeys(finding.kind for finding in findings):
        same = [finding for finding in findings if finding.kind == kind]
        yield f"{kind}: {len(same)}\n" + "\n".join(_trace(finding) for finding in same[:TRACES_AT_MOST])


def _trace(finding: Finding) -> str:
    lines = [
        f"  message {finding.message_id or '–'} of {finding.version or '–'}",
        f"    expected  {_words(finding.expected)}",
        f"    row       {_words(finding.row)}",
        f"    received  {', '.join(_moment(at) for at in finding.received_at) or 'never'}",
        f"    deleted   {_moment(finding.deleted_at)}",
        f"    committed {_moment(finding.committed_at)}",
    ]
    lines += [f"    commit    {_moment(commit.committed_at)} {_words(commit.row)}" for commit in finding.commits]
    return "\n".join(lines)


def _words(event: ObjectEvent | None) -> str:
    if event is None:
        return "–"
    return f"{event.state} {event.sequencer} {event.event_name} {event.event_time} {event.size_bytes} {event.etag}"


def _moment(unix_seconds: float | None) -> str:
    return "never" if unix_seconds is None else f"{datetime.fromtimestamp(unix_seconds, UTC):%H:%M:%S.%f}"
