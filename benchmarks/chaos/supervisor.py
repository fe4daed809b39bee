"""Supervises the daemons of a run and restarts them, as ECS does for a service."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack

from prometheus_client.parser import text_string_to_metric_families

from subscriber.errors import ExitCode
from testkit.daemon import DaemonProcess, LogLine, daemon_process
from testkit.process import ProcessError

STOP_TIMEOUT_SECONDS = 26.0
_POLL_SECONDS = 0.05
_RESTART_SECONDS = 0.5
_LOGGED_LEVELS = frozenset({"warning", "error", "critical"})
_FAILURE_METRICS = frozenset({"subscriber_write_failures_total", "subscriber_queue_errors_total"})
_EXPECTED = frozenset({ExitCode.DRAINED, ExitCode.STOPPED_LATE})
_OWN_FAILURES = frozenset({ExitCode.FAILED, ExitCode.CONFIGURATION, ExitCode.SCHEMA})
"""Exit codes that no injected fault may lead to."""


class Supervised:
    """One supervised daemon: restarted when it ends, until it is killed or terminated on purpose."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._open = ExitStack()
        self._is_wanted = True
        self.daemon: DaemonProcess | None = None
        self.errors: list[str] = []
        """What a daemon did but must not do, one text each."""
        self.notes: list[str] = []
        self.symptoms: Counter[str] = Counter()
        """Warnings and failures in the daemons' logs and metrics, and how often."""

    def start(self) -> None:
        """Launches a daemon and returns at once. Call it in the main thread: the child dies with its parent thread."""
        self.daemon = self._open.enter_context(daemon_process(self._environment, "--migrate"))
        self._is_wanted = True

    async def started(self, timeout_seconds: float = 30.0) -> None:
        """Waits until its pipeline has started.

        Raises:
            ProcessError: it did not start in time.
        """
        if self.daemon is not None:
            await asyncio.to_thread(self.daemon.wait_for, "pipeline.started", timeout_seconds)

    def kill(self) -> None:
        """Sends SIGKILL; no daemon is started until `start` is called."""
        self._is_wanted = False
        if self.daemon is not None:
            self.daemon.signal(signal.SIGKILL)
        self._drop()

    async def terminate(self) -> None:
        """Sends SIGTERM and waits; records an error unless the daemon ends in time with an expected exit code."""
        self._is_wanted = False
        if self.daemon is None:
            return
        await asyncio.to_thread(self._read_metrics, self.daemon)
        self.daemon.signal(signal.SIGTERM)
        try:
            code = await asyncio.to_thread(self.daemon.wait, STOP_TIMEOUT_SECONDS + 2)
        except subprocess.TimeoutExpired:
            self.errors.append(f"a stop took longer than {STOP_TIMEOUT_SECONDS:g} s\n{self.daemon.log_tail()}")
        else:
            if code not in _EXPECTED:
                self._note_exit(code)
        self._drop()

    async def watch(self) -> None:
        """Restarts the daemon whenever it ends by itself, until cancelled."""
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            if self._is_wanted and self.daemon is not None and not self.daemon.is_running:
                self._note_exit(await asyncio.to_thread(self.daemon.wait))
                self._drop()
                await asyncio.sleep(_RESTART_SECONDS)
                if self._is_wanted:
                    self.start()

    def metric(self, name: str) -> float:
        """The sum of all samples of a metric.

        Raises:
            ProcessError: no daemon runs.
            OSError: it does not answer.
        """
        if self.daemon is None:
            raise ProcessError("no daemon runs")
        return self.daemon.metric(name)

    def http_port(self) -> int:
        """The port of its HTTP server.

        Raises:
            ProcessError: no daemon runs, or it does not listen yet.
        """
        lines = self.daemon.events("http.listening") if self.daemon else []
        if not lines:
            raise ProcessError("no daemon listens")
        return int(lines[0]["port"])

    def close(self) -> None:
        """Kills the daemon if one runs."""
        self._is_wanted = False
        self._drop()

    def _note_exit(self, code: int) -> None:
        tail = self.daemon.log_tail() if self.daemon else ""
        sentence = f"a daemon ended with code {code}"
        (self.errors if code < 0 or code in _OWN_FAILURES else self.notes).append(f"{sentence}\n{tail}")

    def _read_metrics(self, daemon: DaemonProcess) -> None:
        with contextlib.suppress(ProcessError, OSError):
            text = daemon.page("/metrics")[1]
            samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
            for sample in samples:
                if sample.name in _FAILURE_METRICS and sample.value:
                    self.symptoms[" ".join(["counted", *sample.labels.values()])] += int(sample.value)

    def _drop(self) -> None:
        if self.daemon is not None:
            self.symptoms.update(_symptom(line) for line in self.daemon.log if line.get("level") in _LOGGED_LEVELS)
        self.daemon = None
        with contextlib.suppress(ProcessError):
            self._open.close()


def _symptom(line: LogLine) -> str:
    return " ".join(str(line[name]) for name in ("event", "reason") if line.get(name))
