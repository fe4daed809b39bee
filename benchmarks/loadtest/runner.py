"""One scenario: start the parts, offer the load, drain the queue, stop the daemon, check the table."""

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
from benchmarks.loadtest.prefill import prefill
from benchmarks.loadtest.result import Mark, Run, figures
from benchmarks.loadtest.row_checker import CheckResult, check_backlog, of_comparison, take_snapshot
from benchmarks.loadtest.samples import Meter, Sample, daemon_as_consumer
from benchmarks.loadtest.scenarios import Scenario
from testkit.checker.compare import compare, read_stored
from testkit.checker.latency import Latency, commit_latency
from testkit.daemon import DaemonProcess
from testkit.environment import LocalEnvironment, local_environment
from testkit.latency_proxy import latency_proxy
from testkit.local_stack import running_daemon, running_load
from testkit.process import ProcessError
from testkit.terminal import Screen
from testkit.workload.backlogs import BacklogLoad
from testkit.workload.load import LoadPlan, Phase
from testkit.workload.send_log import SendLog

_QUEUE_NAME = "object-events"
_SECONDS_BEFORE_NOW = 3_600
"""How long before now the events of a paced load begin."""


def run_scenario(scenario: Scenario, screen: Screen) -> Run:
    """Runs the scenario and checks the rows it left in the table.

    Raises:
        ProcessError: a part did not start, or died.
        LocalPostgresError: PostgreSQL did not start.
    """
    with local_environment(database_settings()) as parts:
        queue_url = parts.make_queue(_QUEUE_NAME)
        with (
            _settings(parts, scenario) as settings,
            running_daemon(parts, queue_url, settings) as daemon,
        ):
            if scenario.prefilled_rows:
                screen.say(f"  filling the table with {scenario.prefilled_rows:,} rows …")
                asyncio.run(prefill(parts.postgres.url, scenario.prefilled_rows))
            running = ScenarioRun(parts, queue_url, daemon, scenario, screen)
            return running.pace() if scenario.backlog is None else running.drain(scenario.backlog)


@contextmanager
def _settings(parts: LocalEnvironment, scenario: Scenario) -> Iterator[dict[str, str]]:
    """The daemon's settings; with a network delay, the database's URL leads to the latency proxy."""
    if scenario.network_delay is None:
        yield scenario.settings
        return
    with latency_proxy(parts.postgres.port, scenario.network_delay) as port:
        url = parts.postgres.url.replace(f":{parts.postgres.port}/", f":{port}/")
        yield {**scenario.settings, "SUBSCRIBER_DATABASE_URL": url}


class ScenarioRun:
    """A scenario whose parts are running."""

    def __init__(
        self, parts: LocalEnvironment, queue_url: str, daemon: DaemonProcess, scenario: Scenario, screen: Screen
    ) -> None:
        self._parts = parts
        self._queue_url = queue_url
        self._daemon = daemon
        self._scenario = scenario
        self._screen = screen

    def drain(self, load: BacklogLoad) -> Run:
        """Measures a backlog that is queued from the start."""
        before = asyncio.run(take_snapshot(self._parts.postgres.url))
        samples = drain_backlog(
            Meter(self._parts, self._queue_url, daemon_as_consumer(self._daemon)),
            load,
            lambda: load.attach(self._parts.client, self._queue_url),
            self._screen,
            self._scenario.drain_timeout_seconds,
        )
        exit_code = self._daemon.stop()
        return self._run(samples, exit_code, asyncio.run(check_backlog(self._parts.postgres.url, load, before)))

    def pace(self) -> Run:
        """Measures a load that a separate process sends at its rate."""
        plan = LoadPlan(self._scenario.profile, start_second=int(time.time()) - _SECONDS_BEFORE_NOW)
        with tempfile.TemporaryDirectory(prefix="subscriber-bench-") as folder:
            send_log = SendLog(Path(folder) / "sent.jsonl")
            samples = self._send(plan, send_log, Path(folder) / "sent.jsonl")
        exit_code = self._daemon.stop()
        stored = asyncio.run(read_stored(self._parts.postgres.url))
        check_result = of_comparison(compare(send_log.messages, stored, plan.buckets()))
        run = self._run(samples, exit_code, check_result, commit_latency(send_log.messages, stored.versions))
        return msgspec.structs.replace(run, seed=plan.seed)

    def _send(self, plan: LoadPlan, send_log: SendLog, path: Path) -> list[Sample]:
        with running_load(self._queue_url, plan, path) as load:

            def offered() -> tuple[int, bool]:
                is_loading = load.is_running  # before its log is read, or the last lines could be missed
                return send_log.catch_up(), is_loading

            meter = Meter(self._parts, self._queue_url, daemon_as_consumer(self._daemon), load)
            samples = watch(meter, offered, self._screen, self._scenario.drain_timeout_seconds)
            if load.stop() != 0:
                raise ProcessError(f"the load failed\n{load.log_tail()}")
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
            marks=marks_of(self._scenario.profile),
        )


def marks_of(profile: Sequence[Phase]) -> tuple[Mark, ...]:
    """A mark where each phase of a paced load begins, if there is more than one."""
    begins = [sum(phase.seconds for phase in profile[:number]) for number in range(len(profile))]
    return tuple(
        Mark(float(at), f"{phase.messages_per_second:,.0f} messages a second")
        for at, phase in zip(begins, profile, strict=True)
        if len(profile) > 1
    )
