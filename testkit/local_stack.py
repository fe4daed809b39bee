"""The processes of the demo and the load test: PostgreSQL, an SQS emulator, the real daemon and a load generator.

Each is a process of its own that ends with its `with` block, also when the block raises.
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
from testkit.environment import LocalEnvironment, local_environment
from testkit.postgres.postgres import LocalPostgres
from testkit.process import Child, ProcessError, child_process
from testkit.workload.load import LoadPlan

READY_SECONDS: Final = 60.0
_QUEUE_NAME = "object-events"
_RECEIVE_WAIT_SECONDS = 2
"""Short, because the daemon waits for its open polls when it stops."""


class Reading(msgspec.Struct, frozen=True):
    """Counters and gauges of the pipeline at one moment."""

    unfinished: int
    """Messages in the queue: visible, in flight and delayed."""
    applied_rows: int
    """Rows inserted or updated."""
    deleted: int
    """Messages whose deletion the queue has confirmed."""
    dead_letters: int
    newest_receive_age_seconds: float
    """Age of the newest message at its first receive."""
    daemon_cpu_seconds: float
    database_cpu_seconds: float


class DemoStack:
    """The running processes, made by `demo_stack`."""

    def __init__(self, parts: LocalEnvironment, queue_url: str, daemon: DaemonProcess) -> None:
        self.queue_url = queue_url
        self.daemon = daemon
        self._environment = parts

    @property
    def postgres(self) -> LocalPostgres:
        """The database."""
        return self._environment.postgres

    def client_variables(self) -> dict[str, str]:
        """Environment variables with which `subscriber` and AWS clients reach these processes."""
        return {
            **self._environment.aws_variables(),
            "SUBSCRIBER_QUEUE_URLS": self.queue_url,
            "SUBSCRIBER_DATABASE_URL": self.postgres.url,
            "SUBSCRIBER_HTTP_PORT": str(self.daemon.wait_for("http.listening")["port"]),
        }

    def read(self) -> Reading:
        """Read the counters of daemon, queue and database.

        Raises:
            ProcessError: the daemon or the SQS emulator does not answer.
        """
        try:
            return self._read()
        except OSError as error:
            raise ProcessError(
                f"no answer ({error}); the end of the daemon's log:\n{self.daemon.log_tail()}"
            ) from error

    def _read(self) -> Reading:
        samples = read_samples(self.daemon.page("/metrics")[1])
        return Reading(
            unfinished=self._environment.unfinished(self.queue_url),
            applied_rows=int(samples.get("subscriber_rows_applied_total", 0)),
            deleted=int(samples.get("subscriber_acknowledged_messages_total", 0)),
            dead_letters=self._environment.dead_letters(self.queue_url),
            newest_receive_age_seconds=samples.get("subscriber_newest_receive_age_seconds", 0.0),
            daemon_cpu_seconds=cpu_seconds(self.daemon.pid),
            database_cpu_seconds=self.postgres.cpu_seconds(),
        )


def read_samples(page: str) -> dict[str, float]:
    """The sum of all samples of each metric in Prometheus text."""
    sums: dict[str, float] = {}
    for line in page.splitlines():
        if line and not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            name = series.partition("{")[0]
            sums[name] = sums.get(name, 0.0) + float(value)
    return sums


@contextmanager
def running_daemon(
    parts: LocalEnvironment, queue_url: str, settings: Mapping[str, str] | None = None
) -> Iterator[DaemonProcess]:
    """Run the daemon with `--migrate` from the queue into the environment's database; yields it once it has started.

    Args:
        parts: the environment with the SQS emulator and the database.
        queue_url: the queue.
        settings: environment variables that override ours.

    Raises:
        ProcessError: the daemon does not start; with the end of its log.
    """
    environment = {
        **parts.aws_variables(),
        "SUBSCRIBER_QUEUE_URLS": queue_url,
        "SUBSCRIBER_DATABASE_URL": parts.postgres.url,
        "SUBSCRIBER_RECEIVE_WAIT_SECONDS": str(_RECEIVE_WAIT_SECONDS),
        **(settings or {}),
    }
    with daemon_process(environment, "--migrate") as daemon:
        daemon.wait_for("pipeline.started", READY_SECONDS)
        yield daemon


@contextmanager
def demo_stack(settings: Mapping[str, str] | None = None) -> Iterator[DemoStack]:
    """PostgreSQL, an SQS emulator and the daemon, all of them ready.

    Args:
        settings: environment variables for the daemon that override ours.

    Raises:
        ProcessError: a process does not start; with the end of its log.
        LocalPostgresError: PostgreSQL does not start.
    """
    with local_environment() as parts:
        queue_url = parts.make_queue(_QUEUE_NAME)
        with running_daemon(parts, queue_url, settings) as daemon:
            yield DemoStack(parts, queue_url, daemon)


@contextmanager
def running_load(queue_url: str, plan: LoadPlan, record: Path) -> Iterator[Child]:
    """Run the load generator as a process; yields it when it begins to send.

    Raises:
        ProcessError: it ends or does not become ready in time.
    """
    profile = ",".join(f"{phase.messages_per_second:g}x{phase.seconds:g}" for phase in plan.profile)
    command = [sys.executable, "-m", "testkit.workload.load", "--queue-url", queue_url, "--profile", profile]
    command += ["--seed", str(plan.seed), "--start-second", str(plan.start_second), "--record", str(record)]
    with child_process("the load", command) as child:
        child.read_line(READY_SECONDS)
        yield child
