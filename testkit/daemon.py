"""The real daemon as a process of its own: started with environment settings, read by its log and its pages."""

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

from testkit.process import PartError

_ROOT = Path(__file__).resolve().parents[1]
_PR_SET_PDEATHSIG = 1
_TAIL_LINES = 15

LogLine = dict[str, Any]


class DaemonProcess:
    """A running daemon. Made by `daemon_process`; a thread reads its log as it comes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._lines: list[LogLine] = []
        self._words = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, name="daemon log", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    @property
    def log(self) -> list[LogLine]:
        """What it has logged so far; a line that is not JSON is there as {"text": …}."""
        with self._words:
            return list(self._lines)

    def events(self, name: str) -> list[LogLine]:
        """The log lines of one event."""
        return [line for line in self.log if line.get("event") == name]

    def wait_for(self, event: str, timeout_seconds: float = 30) -> LogLine:
        """The first log line of `event`, waiting for it.

        Raises:
            PartError: the daemon ended, or the time did, before it was there.
        """

        def found() -> LogLine | bool:
            return next((line for line in self._lines if line.get("event") == event), self._ended)

        with self._words:
            line = self._words.wait_for(found, timeout_seconds)
        if isinstance(line, dict):
            return line
        raise PartError(f"the daemon never logged {event}\n{self.log_tail()}")

    def page(self, path: str) -> tuple[int, str]:
        """Status and text of one of its pages."""
        port = self.wait_for("http.listening")["port"]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all samples of one metric that carry `labels`."""
        families = text_string_to_metric_families(self.page("/metrics")[1])
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self, timeout_seconds: float = 60) -> int:
        """Its exit code, once it has ended and its log is read to the end."""
        code = self._process.wait(timeout_seconds)
        self._reader.join(timeout_seconds)
        return code

    def stop(self, timeout_seconds: float = 60) -> int:
        """SIGTERM, and the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout_seconds)

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
        self.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def log_tail(self) -> str:
        """The end of its log, for the person in front of a failure."""
        return "\n".join(str(line) for line in self.log[-_TAIL_LINES:])

    def _read(self) -> None:
        assert self._process.stdout is not None
        for raw in self._process.stdout:
            with self._words:
                self._lines.append(_log_line(raw))
                self._words.notify_all()
        with self._words:
            self._ended = True
            self._words.notify_all()


def _log_line(raw: bytes) -> LogLine:
    try:
        line = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        line = None
    return line if isinstance(line, dict) else {"text": raw.decode(errors="replace").rstrip()}


def _end_with_starter() -> Callable[[], None] | None:
    """What makes the kernel end the daemon with us, where the kernel is Linux."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return lambda: library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def daemon_process(environment: Mapping[str, str], *arguments: str) -> Iterator[DaemonProcess]:
    """Run `subscriber run` while the block runs, with these variables and no other SUBSCRIBER_ or AWS_ ones.

    Standard error goes into the log too. The block ends it as it likes; what still runs afterwards is killed.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SUBSCRIBER_", "AWS_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "subscriber", "run", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=_ROOT,
        env={**inherited, "SUBSCRIBER_LOG_FORMAT": "json", "SUBSCRIBER_HTTP_PORT": "0", **environment},
        start_new_session=True,  # Ctrl-C is for the lab, which stops its parts in order
        preexec_fn=_end_with_starter(),  # noqa: PLW1509 – one system call, and the lab starts no threads that fork
    )
    daemon = DaemonProcess(process)
    try:
        yield daemon
    except BaseException as error:
        error.add_note(f"the end of the daemon's log:\n{daemon.log_tail()}")
        raise
    finally:
        daemon.kill()
