"""The daemons of a run, and who starts them again: what ECS does for a service."""

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
from testkit.process import PartError

STOP_TIMEOUT_SECONDS = 26.0
_LOOK_SECONDS = 0.05
_RESTART_SECONDS = 0.5
_LOUD = frozenset({"warning", "error", "critical"})
_TROUBLES = frozenset({"subscriber_write_failures_total", "subscriber_queue_errors_total"})
_EXPECTED = frozenset({ExitCode.DRAINED, ExitCode.STOPPED_LATE})
_FAILURES_OF_OURS = frozenset({ExitCode.FAILED, ExitCode.CONFIGURATION, ExitCode.SCHEMA})
"""Codes that no fault of the world around excuses."""


class Supervised:
    """One place for a daemon: while it is to run, one runs."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._open = ExitStack()
        self._is_wanted = True
        self.daemon: DaemonProcess | None = None
        self.errors: list[str] = []
        """Sentences about what a daemon should not have done."""
        self.notes: list[str] = []
        self.signs: Counter[str] = Counter()
        """What the daemons said of troubles, in their logs and metrics, and how often."""

    def start(self) -> None:
        """Start one; returns at once. Only the main thread may: the child dies with the thread that made it."""
        self.daemon = self._open.enter_context(daemon_process(self._environment, "--migrate"))
        self._is_wanted = True

    async def started(self, timeout_seconds: float = 30.0) -> None:
        """Wait until its line is at work.

        Raises:
            PartError: it never was.
        """
        if self.daemon is not None:
            await asyncio.to_thread(self.daemon.wait_for, "pipeline.started", timeout_seconds)

    def kill(self) -> None:
        """SIGKILL, and nobody starts another until `start` is called."""
        self._is_wanted = False
        if self.daemon is not None:
            self.daemon.signal(signal.SIGKILL)
        self._drop()

    async def terminate(self) -> None:
        """SIGTERM, and wait for the end, which must come in time and with a code of the two good ones."""
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
        """Start another whenever one ends by itself, for ever; ends by cancellation."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self._is_wanted and self.daemon is not None and not self.daemon.is_running:
                self._note_exit(await asyncio.to_thread(self.daemon.wait))
                self._drop()
                await asyncio.sleep(_RESTART_SECONDS)
                if self._is_wanted:
                    self.start()

    def close(self) -> None:
        """Whatever runs is killed."""
        self._is_wanted = False
        self._drop()

    def _note_exit(self, code: int) -> None:
        tail = self.daemon.log_tail() if self.daemon else ""
        sentence = f"a daemon ended with code {code}"
        (self.errors if code < 0 or code in _FAILURES_OF_OURS else self.notes).append(f"{sentence}\n{tail}")

    def _read_metrics(self, daemon: DaemonProcess) -> None:
        with contextlib.suppress(PartError, OSError):
            text = daemon.page("/metrics")[1]
            samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
            for sample in samples:
                if sample.name in _TROUBLES and sample.value:
                    self.signs[" ".join(["counted", *sample.labels.values()])] += int(sample.value)

    def _drop(self) -> None:
        if self.daemon is not None:
            self.signs.update(_sign(line) for line in self.daemon.log if line.get("level") in _LOUD)
        self.daemon = None
        with contextlib.suppress(PartError):
            self._open.close()


def _sign(line: LogLine) -> str:
    return " ".join(str(line[name]) for name in ("event", "reason") if line.get(name))
