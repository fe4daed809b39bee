"""Whether planted drift is found and repaired, and nothing else, while the bucket changes among the same keys."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Final

import msgspec

from benchmarks.loadtest.scenarios import UNGOVERNED
from benchmarks.reconcile.asked import Asked
from benchmarks.reconcile.changes import LiveChanges, LiveKeys, live_changes
from benchmarks.reconcile.equality import differences
from benchmarks.reconcile.parts import BUCKET, Parts, Ran
from benchmarks.reconcile.rows import DRIFTS, GHOST, chosen, plant, unrepaired
from testkit.local_stack import running_daemon
from testkit.process import ProcessError
from testkit.s3.generated import GeneratedPlan

LIVE_SECONDS: Final = 5.0
"""Of live events before the comparison begins."""
REACHED: Final = 0.98
"""Of the rate that is asked for: what must be sent, and stored, while the command runs."""
_DRAIN_SECONDS: Final = 120.0


class DriftRound(msgspec.Struct, frozen=True):
    """One comparison with planted drift, with repair, under live events."""

    keys: int
    planted: int
    found: int
    """Versions that were reported, of the kinds that were planted and at most as many of each kind."""
    false: int
    """Versions that were reported beyond those, and keys that were repaired without drift."""
    unrepaired: int
    """Planted versions that the index still has wrong."""
    unequal: int
    """Versions in which index and bucket differ at the end, when all events are in."""
    fresh: int
    """Keys that changed within the grace."""
    grace_seconds: int
    live_events: int
    """Sent in all."""
    rate_asked: float
    sent_per_second: float
    """Events that the queue took while the command ran."""
    stored_per_second: float
    """Events that the daemon wrote and deleted from the queue while the command ran."""
    seconds: float
    """Wall time of the command, with the wait for its second look."""
    peak_bytes: int

    @property
    def is_void(self) -> bool:
        """Whether the load was less than was asked for, so that the round shows nothing."""
        return min(self.sent_per_second, self.stored_per_second) < REACHED * self.rate_asked


class DriftBench:
    """The rounds of one bucket.

    Args:
        parts: the servers; the index is equal to the bucket.
        plan: of the bucket.
        asked: the parameters.
    """

    def __init__(self, parts: Parts, plan: GeneratedPlan, asked: Asked) -> None:
        self._parts, self._plan, self._asked = parts, plan, asked
        self._live = LiveKeys(plan)
        self._stacks = self._live.stacks()

    def measure(self, round_number: int) -> DriftRound:
        """Let the index differ, and compare with repair while a real daemon writes the events of changes.

        Raises:
            ProcessError: a part failed, or the queue does not drain.
        """
        parts, asked = self._parts, self._asked
        planted = chosen(self._plan, self._live, round_number, asked.keys_per_drift)
        asyncio.run(plant(parts.database_url, planted, round_number))
        since: datetime = parts.value("SELECT clock_timestamp()")
        with running_daemon(parts.environment, parts.queue_url, UNGOVERNED) as daemon:
            with live_changes(parts, asked.rate, round_number, self._stacks) as live:
                time.sleep(LIVE_SECONDS)
                ran, sent, stored = self._compared(live)
            _drain(parts)
            daemon.stop()
        expected = {drift: len(each.keys) for drift, each in planted.items()}
        reported = {drift: ran.counter(drift) for drift in DRIFTS}
        keys = [key for drift, each in planted.items() for key in _in_index(drift, each.keys, round_number)]
        wrong = asyncio.run(differences(parts, self._plan, self._live, keys, since))
        return DriftRound(
            keys=self._plan.keys,
            planted=sum(expected.values()),
            found=sum(min(reported[drift], expected[drift]) for drift in DRIFTS),
            false=sum(max(0, reported[drift] - expected[drift]) for drift in DRIFTS) + wrong.repaired,
            unrepaired=asyncio.run(unrepaired(parts.database_url, planted, round_number)),
            unequal=wrong.unequal,
            fresh=ran.counter("fresh"),
            grace_seconds=asked.grace_seconds,
            live_events=live.sent,
            rate_asked=asked.rate,
            sent_per_second=sent / ran.seconds,
            stored_per_second=stored / ran.seconds,
            seconds=ran.seconds,
            peak_bytes=ran.peak_bytes,
        )

    def _compared(self, live: LiveChanges) -> tuple[Ran, int, int]:
        """The command, and how many events were sent and stored while it ran."""
        sent, waiting = live.sent, self._waiting()
        arguments = ("reconcile", "--repair", f"s3://{BUCKET}", "--grace", str(self._asked.grace_seconds))
        ran = self._parts.run(*arguments, settings=UNGOVERNED)
        sent = live.sent - sent
        return ran, sent, sent - (self._waiting() - waiting)

    def _waiting(self) -> int:
        return self._parts.environment.unfinished(self._parts.queue_url)


def _in_index(drift: str, keys: list[str], round_number: int) -> list[str]:
    return [f"{key}{GHOST}{round_number:04}" for key in keys] if drift == "ghost" else keys


def _drain(parts: Parts) -> None:
    deadline = time.monotonic() + _DRAIN_SECONDS
    while parts.environment.unfinished(parts.queue_url):
        if time.monotonic() > deadline:
            raise ProcessError(f"the queue was not drained within {_DRAIN_SECONDS:g} s after the live events")
        time.sleep(0.1)
