"""The environment: PostgreSQL on a core of its own, and the SQS emulator."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from benchmarks.governor_live.cpu_pinning import Cores, busy_seconds, pin, pinned
from benchmarks.loadtest.database import database_settings
from benchmarks.loadtest.result import Run, figures
from benchmarks.loadtest.row_checker import check_partial_drain
from benchmarks.loadtest.samples import Sample
from testkit.environment import LocalEnvironment, local_environment
from testkit.workload.backlogs import BacklogLoad


class Disturbance(msgspec.Struct):
    """CPU that other processes used on the database's core in a span of time."""

    percent: float | None = None
    """Percent of the core; None: the database has no core of its own."""


class DrainResult(msgspec.Struct, frozen=True):
    """What was measured while a backlog was drained, up to the end of the scenario."""

    load: BacklogLoad
    queue_url: str
    samples: Sequence[Sample]
    exit_code: int
    control: dict[str, float | None]


class LiveEnvironment(msgspec.Struct, frozen=True):
    """Database and SQS emulator to measure on. Made by `live_environment`."""

    parts: LocalEnvironment
    cores: Cores | None

    @property
    def database_cores(self) -> int:
        """Number of cores that the database may use."""
        return 1 if self.cores else os.cpu_count() or 1

    @contextmanager
    def watched(self) -> Iterator[Disturbance]:
        """Measures the use of the database's core by other processes while the block runs."""
        seen = Disturbance()
        began, before = time.monotonic(), self._external_seconds()
        yield seen
        if before is not None and (after := self._external_seconds()) is not None:
            seen.percent = 100 * (after - before) / (time.monotonic() - began)

    def checked_run(self, name: str, drained: DrainResult, settings: dict[str, str], remark: str = "") -> Run:
        """The run of a backlog that was drained in part; checks that every deleted message is in the table."""
        deleted = drained.load.messages - self.parts.unfinished(drained.queue_url)
        check_result = asyncio.run(check_partial_drain(self.parts.postgres.url, drained.load, deleted))
        check_result = msgspec.structs.replace(check_result, dead_letters=self.parts.dead_letters(drained.queue_url))
        done = [msgspec.structs.replace(each, offered=deleted) for each in drained.samples]
        found = msgspec.structs.replace(figures(done), control=drained.control)
        return Run(name, check_result, found, drained.exit_code, tuple(drained.samples), remark, settings)

    def _external_seconds(self) -> float | None:
        if self.cores is None:
            return None
        return busy_seconds(self.cores.database) - self.parts.postgres.cpu_seconds()


@contextmanager
def live_environment() -> Iterator[LiveEnvironment]:
    """Runs the environment while the block runs; this process and its children stay off the database's core.

    Raises:
        ProcessError: the SQS emulator did not start.
        LocalPostgresError: PostgreSQL did not start.
    """
    with pinned() as cores, local_environment(database_settings()) as parts:
        if cores is not None:
            pin(parts.postgres.process_ids(), cores.database)
        yield LiveEnvironment(parts, cores)
