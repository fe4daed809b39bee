"""What is noted in the course of a run, beside the history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from benchmarks.chaos.queues import Counts
from benchmarks.chaos.supervisor import Supervised
from testkit.daemon import DaemonProcess


class Observations:
    """Where faults and supervisors write what they saw."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.notes: list[str] = []
        self.signs: Counter[str] = Counter()
        """What the daemons said of troubles, and how often."""

    def stuck(self, counts: Counts, daemons: Sequence[DaemonProcess | None]) -> None:
        """The line did not run dry."""
        tails = "\n".join(daemon.log_tail() if daemon else "(no daemon runs)" for daemon in daemons)
        self.errors.append(f"stuck: {counts}\n{tails}")

    def take(self, daemons: Sequence[Supervised]) -> None:
        """What the supervisors have seen."""
        for daemon in daemons:
            self.errors += daemon.errors
            self.notes += daemon.notes
            self.signs += daemon.signs
