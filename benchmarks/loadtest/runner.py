"""A scenario from its first part to its last: parts up, load on, queue empty, daemon stopped, table judged."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.loadtest.competitors import DAEMON
from benchmarks.loadtest.database import database_settings
from benchmarks.loadtest.drain import drain_backlog, watch
from benchmarks.loadtest.prefill import grow
from benchmarks.loadtest.result import Run, figures
from benchmarks.loadtest.row_checker import CheckResult, judge_backlog, look_before, of_verdict
from benchmarks.loadtest.samples import Meter, Sample, daemon_as_consumer
from benchmarks.loadtest.scenarios import Scenario
from testkit.checker.compare import judge, read_stored
from testkit.checker.latency import Latency, commit_latency
from testkit.daemon import DaemonProcess
from testkit.environment import Stage, stage
from testkit.latency_proxy import slow_network
from testkit.local_stack import running_daemon, running_load
from testkit.process import PartError
from testkit.terminal import Screen
from testkit.workload.backlogs import BacklogLoad
from testkit.workload.load import LoadPlan
from testkit.workload.send_log import SentRecord

_QUEUE_NAME = "object-events"
_SECONDS_BEFORE_NOW = 3_600
"""Where the history of a paced load begins."""


def conduct(scenario: Scenario, screen: Screen) -> Run:
    """Runs the scenario and judges what it left in the table.

    Raises:
        PartError: a part did not come up, or died.
        LocalPostgresError: PostgreSQL did not come up.
    """
    with stage(database_settings()) as parts:
        queue_url = parts.make_queue(_QUEUE_NAME)
        with (
            _settings(parts, scenario) as settings,
            running_daemon(parts, queue_url, settings) as daemon,
        ):
            if scenario.resident_rows:
                screen.say(f"  filling the table with {scenario.resident_rows:,} rows …")
                asyncio.run(grow(parts.postgres.url, scenario.resident_rows))
            trial = Trial(parts, queue_url, daemon, scenario, screen)
            return trial.pace() if scenario.backlog is None else trial.drain(scenario.backlog)


@contextmanager
def _settings(parts: Stage, scenario: Scenario) -> Iterator[dict[str, str]]:
    """The daemon's environment; where the network is slow, the database is behind a proxy."""
    if scenario.network_delay is None:
        yield scenario.settings
        return
    with slow_network(parts.postgres.port, scenario.network_delay) as port:
        url = parts.postgres.url.replace(f":{parts.postgres.port}/", f":{port}/")
        yield {**scenario.settings, "SUBSCRIBER_DATABASE_URL": url}


class Trial:
    """A scenario whose parts are up."""

    def __init__(self, parts: Stage, queue_url: str, daemon: DaemonProcess, scenario: Scenario, screen: Screen) -> None:
        self._parts = parts
        self._queue_url = queue_url
        self._daemon = daemon
        self._scenario = scenario
        self._screen = screen

    def drain(self, load: BacklogLoad) -> Run:
        """The whole load waits from the first moment."""
        before = asyncio.run(look_before(self._parts.postgres.url))
        samples = drain_backlog(
            Meter(self._parts, self._queue_url, daemon_as_consumer(self._daemon)),
            load,
            lambda: load.attach(self._parts.client, self._queue_url),
            self._screen,
            self._scenario.patience_seconds,
        )
        exit_code = self._daemon.stop()
        return self._run(samples, exit_code, asyncio.run(judge_backlog(self._parts.postgres.url, load, before)))

    def pace(self) -> Run:
        """The load is sent at its rate by a process of its own."""
        plan = LoadPlan(self._scenario.profile, start_second=int(time.time()) - _SECONDS_BEFORE_NOW)
        with tempfile.TemporaryDirectory(prefix="subscriber-bench-") as folder:
            record = SentRecord(Path(folder) / "sent.jsonl")
            samples = self._send(plan, record, Path(folder) / "sent.jsonl")
        exit_code = self._daemon.stop()
        stored = asyncio.run(read_stored(self._parts.postgres.url))
        check_result = of_verdict(judge(record.messages, stored, plan.buckets()))
        return self._run(samples, exit_code, check_result, commit_latency(record.messages, stored.versions))

    def _send(self, plan: LoadPlan, record: SentRecord, path: Path) -> list[Sample]:
        with running_load(self._queue_url, plan, path) as load:

            def offered() -> tuple[int, bool]:
                is_loading = load.is_running  # asked first: what it wrote last must not be missed
                return record.catch_up(), is_loading

            meter = Meter(self._parts, self._queue_url, daemon_as_consumer(self._daemon), load)
            samples = watch(meter, offered, self._screen, self._scenario.patience_seconds)
            if load.stop() != 0:
                raise PartError(f"the load failed\n{load.log_tail()}")
        return samples

    def _run(
        self, samples: Sequence[Sample], exit_code: int, check_result: CheckResult, latency: Latency | None = None
    ) -> Run:
        left = {
            "left_in_queue": self._parts.unfinished(self._queue_url),
            "dead_letters": self._parts.dead_letters(self._queue_url),
        }
        return Run(
            DAEMON,
            msgspec.structs.replace(check_result, **left),
            figures(samples, latency),
            exit_code,
            tuple(samples),
            settings=self._scenario.settings,
        )
