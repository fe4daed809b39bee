"""Everything the demo needs, running: PostgreSQL, a queue, the real daemon, and a load.

Each part is a process of its own that ends with the block, on whatever path the block is left.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from testkit.cpu import cpu_seconds
from testkit.daemon import DaemonProcess, daemon_process
from testkit.environment import Stage, stage
from testkit.postgres.postgres import LocalPostgres
from testkit.process import Child, PartError, child_process
from testkit.workload.load import LoadPlan

READY_SECONDS: Final = 60.0
_QUEUE_NAME = "object-events"
_RECEIVE_WAIT_SECONDS = 2
"""Short, so that the stop at the end, which waits for open polls, is short too."""


class Reading(msgspec.Struct, frozen=True):
    """The line at one moment."""

    unfinished: int
    """All messages of the queue: waiting, in flight and delayed."""
    applied_rows: int
    """Rows inserted or updated."""
    deleted: int
    """Messages the queue has confirmed as deleted."""
    dead_letters: int
    lag_seconds: float
    daemon_cpu_seconds: float
    database_cpu_seconds: float


class Rehearsal:
    """The running parts. Made by `rehearsal`."""

    def __init__(self, parts: Stage, queue_url: str, daemon: DaemonProcess) -> None:
        self.queue_url = queue_url
        self.daemon = daemon
        self._stage = parts

    @property
    def postgres(self) -> LocalPostgres:
        """The database."""
        return self._stage.postgres

    def read(self) -> Reading:
        """Asks everyone how far they are.

        Raises:
            PartError: the daemon or the queue is gone.
        """
        try:
            return self._read()
        except OSError as error:
            raise PartError(f"no answer ({error}); the end of the daemon's log:\n{self.daemon.log_tail()}") from error

    def _read(self) -> Reading:
        samples = read_samples(self.daemon.page("/metrics")[1])
        return Reading(
            unfinished=self._stage.unfinished(self.queue_url),
            applied_rows=int(samples.get("subscriber_rows_applied_total", 0)),
            deleted=int(samples.get("subscriber_acknowledged_messages_total", 0)),
            dead_letters=self._stage.dead_letters(self.queue_url),
            lag_seconds=samples.get("subscriber_newest_receive_age_seconds", 0.0),
            daemon_cpu_seconds=cpu_seconds(self.daemon.pid),
            database_cpu_seconds=self.postgres.cpu_seconds(),
        )


def read_samples(page: str) -> dict[str, float]:
    """The sum of all samples of each name on a page of Prometheus text."""
    sums: dict[str, float] = {}
    for line in page.splitlines():
        if line and not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            name = series.partition("{")[0]
            sums[name] = sums.get(name, 0.0) + float(value)
    return sums


@contextmanager
def running_daemon(parts: Stage, queue_url: str, settings: Mapping[str, str] | None = None) -> Iterator[DaemonProcess]:
    """The daemon, up and draining the queue into the stage's database, which it migrates first.

    Args:
        parts: where it finds the two.
        queue_url: the queue.
        settings: variables of its environment, which win over ours.

    Raises:
        PartError: it does not come up; with the end of its log.
    """
    environment = {
        **parts.environment(),
        "SUBSCRIBER_QUEUE_URLS": queue_url,
        "SUBSCRIBER_DATABASE_URL": parts.postgres.url,
        "SUBSCRIBER_RECEIVE_WAIT_SECONDS": str(_RECEIVE_WAIT_SECONDS),
        **(settings or {}),
    }
    with daemon_process(environment, "--migrate") as daemon:
        daemon.wait_for("pipeline.started", READY_SECONDS)
        yield daemon


@contextmanager
def rehearsal() -> Iterator[Rehearsal]:
    """PostgreSQL, queue and daemon, up and ready.

    Raises:
        PartError: a part does not come up; with the end of its log.
        LocalPostgresError: PostgreSQL does not.
    """
    with stage() as parts:
        queue_url = parts.make_queue(_QUEUE_NAME)
        with running_daemon(parts, queue_url) as daemon:
            yield Rehearsal(parts, queue_url, daemon)


@contextmanager
def running_load(queue_url: str, plan: LoadPlan, record: Path) -> Iterator[Child]:
    """The load as a process, from the moment at which it begins to send.

    Raises:
        PartError: it does not get that far.
    """
    profile = ",".join(f"{phase.messages_per_second:g}x{phase.seconds:g}" for phase in plan.profile)
    command = [sys.executable, "-m", "testkit.workload.load", "--queue-url", queue_url, "--profile", profile]
    command += ["--seed", str(plan.seed), "--start-second", str(plan.start_second), "--record", str(record)]
    with child_process("the load", command) as child:
        child.read_line(READY_SECONDS)
        yield child
