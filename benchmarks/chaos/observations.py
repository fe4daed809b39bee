"""Errors and notes that are collected during a run, beside the message history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from benchmarks.chaos.queues import Counts
from benchmarks.chaos.supervisor import Supervised
from testkit.checker.healthy_wait import Span
from testkit.daemon import DaemonProcess


class Observations:
    """Collects what faults and supervisors observe."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.notes: list[str] = []
        self.stops: list[Span] = []
        """When faults stopped every write."""
        self.symptoms: Counter[str] = Counter()
        """Warnings and failures that the daemons logged or counted, and how often."""

    def stuck(self, counts: Counts, daemons: Sequence[DaemonProcess | None]) -> None:
        """Records that the queue was not drained in time."""
        tails = "\n".join(daemon.log_tail() if daemon else "(no daemon runs)" for daemon in daemons)
        self.errors.append(f"stuck: {counts}\n{tails}")

    def take(self, daemons: Sequence[Supervised]) -> None:
        """Adds what the supervisors observed."""
        for daemon in daemons:
            self.errors += daemon.errors
            self.notes += daemon.notes
            self.symptoms += daemon.symptoms
