"""The plant, built: PostgreSQL on a core of its own, the queue server beside it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from benchmarks.governor_live.cpu_pinning import Cores, apart, busy_seconds, hold
from benchmarks.loadtest.database import database_settings
from benchmarks.loadtest.result import Run, figures
from benchmarks.loadtest.row_checker import judge_part
from benchmarks.loadtest.samples import Sample
from testkit.environment import Stage, stage
from testkit.workload.backlogs import BacklogLoad


class Disturbance(msgspec.Struct):
    """What others took of the database's core in a span of time."""

    percent: float | None = None
    """Of the core; None: the database has none of its own."""


class Drained(msgspec.Struct, frozen=True):
    """What is left of a flood when time is up."""

    load: BacklogLoad
    queue_url: str
    samples: Sequence[Sample]
    exit_code: int
    control: dict[str, float | None]


class LiveEnvironment(msgspec.Struct, frozen=True):
    """What there is to measure on. Made by `plant`."""

    parts: Stage
    cores: Cores | None

    @property
    def database_cores(self) -> int:
        """How many the database has."""
        return 1 if self.cores else os.cpu_count() or 1

    @contextmanager
    def watched(self) -> Iterator[Disturbance]:
        """Counts what others work on the database's core while the block runs: quiet makes figures."""
        seen = Disturbance()
        began, before = time.monotonic(), self._foreign_seconds()
        yield seen
        if before is not None and (after := self._foreign_seconds()) is not None:
            seen.percent = 100 * (after - before) / (time.monotonic() - began)

    def judged(self, name: str, drained: Drained, settings: dict[str, str], remark: str = "") -> Run:
        """The run of a flood that nobody drains to its end: all that left the queue must be in the table."""
        deleted = drained.load.messages - self.parts.unfinished(drained.queue_url)
        check_result = asyncio.run(judge_part(self.parts.postgres.url, drained.load, deleted))
        check_result = msgspec.structs.replace(check_result, dead_letters=self.parts.dead_letters(drained.queue_url))
        done = [msgspec.structs.replace(each, offered=deleted) for each in drained.samples]
        found = msgspec.structs.replace(figures(done), control=drained.control)
        return Run(name, check_result, found, drained.exit_code, tuple(drained.samples), remark, settings)

    def _foreign_seconds(self) -> float | None:
        if self.cores is None:
            return None
        return busy_seconds(self.cores.database) - self.parts.postgres.cpu_seconds()


@contextmanager
def plant() -> Iterator[LiveEnvironment]:
    """The plant while the block runs; this process and its children keep off the database's core.

    Raises:
        PartError: the queue server does not come up.
        LocalPostgresError: PostgreSQL does not.
    """
    with apart() as cores, stage(database_settings()) as parts:
        if cores is not None:
            hold(parts.postgres.process_ids(), cores.database)
        yield LiveEnvironment(parts, cores)
