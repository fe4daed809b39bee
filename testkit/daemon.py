"""Runs the real daemon as a child process and reads its log and HTTP endpoints."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from testkit.process import ProcessError

_ROOT = Path(__file__).resolve().parents[1]
_PR_SET_PDEATHSIG = 1
_TAIL_LINES = 15

LogLine = dict[str, Any]


class DaemonProcess:
    """A running daemon, made by `daemon_process`. A thread reads its log."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._lines: list[LogLine] = []
        self._changed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, name="daemon log", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is still running."""
        return self._process.poll() is None

    @property
    def log(self) -> list[LogLine]:
        """All log lines so far; a line that is not JSON becomes {"text": …}."""
        with self._changed:
            return list(self._lines)

    def events(self, name: str) -> list[LogLine]:
        """The log lines of one event."""
        return [line for line in self.log if line.get("event") == name]

    def wait_for(self, event: str, timeout_seconds: float = 60) -> LogLine:
        """Wait for the first log line of `event` and return it.

        Raises:
            ProcessError: the daemon ended or the timeout expired first.
        """

        def found() -> LogLine | bool:
            return next((line for line in self._lines if line.get("event") == event), self._ended)

        with self._changed:
            line = self._changed.wait_for(found, timeout_seconds)
        if isinstance(line, dict):
            return line
        raise ProcessError(f"the daemon never logged {event}\n{self.log_tail()}")

    def page(self, path: str) -> tuple[int, str]:
        """Status and body of one HTTP path."""
        port = self.wait_for("http.listening")["port"]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all samples of one metric with these labels."""
        families = text_string_to_metric_families(self.page("/metrics")[1])
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self, timeout_seconds: float = 60) -> int:
        """Wait until the process has ended and its log has been read; return the exit code."""
        code = self._process.wait(timeout_seconds)
        self._reader.join(timeout_seconds)
        return code

    def stop(self, timeout_seconds: float = 60) -> int:
        """Send SIGTERM and return the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout_seconds)

    def kill(self) -> None:
        """Send SIGKILL if the process still runs."""
        if self._process.poll() is None:
            self._process.kill()
        self.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def log_tail(self) -> str:
        """The last log lines, for error messages."""
        return "\n".join(str(line) for line in self.log[-_TAIL_LINES:])

    def _read(self) -> None:
        assert self._process.stdout is not None
        for raw in self._process.stdout:
            with self._changed:
                self._lines.append(_log_line(raw))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def _log_line(raw: bytes) -> LogLine:
    try:
        line = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        line = None
    return line if isinstance(line, dict) else {"text": raw.decode(errors="replace").rstrip()}


def _end_with_starter() -> Callable[[], None] | None:
    """On Linux, a function for the child that makes the kernel kill it when this process ends."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return lambda: library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def daemon_process(environment: Mapping[str, str], *arguments: str) -> Iterator[DaemonProcess]:
    """Run `subscriber run` while the block runs, with these variables and no other SUBSCRIBER_ or AWS_ ones.

    Standard error goes to the log as well. A daemon that still runs at the end of the block is killed.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SUBSCRIBER_", "AWS_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "subscriber", "run", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=_ROOT,
        env={**inherited, "SUBSCRIBER_LOG_FORMAT": "json", "SUBSCRIBER_HTTP_PORT": "0", **environment},
        start_new_session=True,  # Ctrl-C goes to this process only: it stops its children in order
        preexec_fn=_end_with_starter(),  # noqa: PLW1509 – one system call, and no thread here forks
    )
    daemon = DaemonProcess(process)
    try:
        yield daemon
    except BaseException as error:
        error.add_note(f"the end of the daemon's log:\n{daemon.log_tail()}")
        raise
    finally:
        daemon.kill()
