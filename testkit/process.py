"""Child processes: start them, wait until they are ready, and never leave one behind.

Our own programs watch their standard input and end when it is closed. A third-party program does not, so it runs
under a guard, `python -m testkit.process SECONDS PROGRAM …`. The guard starts the program in a new process group and
ends the whole group on SIGTERM, or when the guard's own standard input is closed. The kernel closes that pipe even if
the starting process is killed, so no orphan survives a test run.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.05
_TAIL_BYTES = 2_000


class ProcessError(Exception):
    """A child process did not start or ended early; the text is meant for the developer."""


class Child:
    """A running child process. Made by `child_process`."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self.name = name
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """The process id; for a third-party program, that of its guard."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process.poll() is None

    def read_line(self, timeout_seconds: float) -> bytes:
        """The next line the child writes to standard output.

        Raises:
            ProcessError: the child ends or writes no line in time.
        """
        output = self._process.stdout
        if output is None:
            raise self._failure("has no standard output to read")

        def line_if_any() -> bytes | None:
            readable, _, _ = select.select([output], [], [], _POLL_SECONDS)
            return output.readline() or None if readable else None

        return self.wait_until(line_if_any, timeout_seconds)

    def wait_until(self, ready: Callable[[], T | None], timeout_seconds: float) -> T:
        """Call `ready` repeatedly until it returns a value other than None; return that value.

        Raises:
            ProcessError: the child ends or is not ready in time.
        """
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            result = ready()
            if result is not None:
                return result
            if not self.is_running:
                raise self._failure(f"ended with code {self._process.returncode} before it was ready")
            time.sleep(_POLL_SECONDS)
        raise self._failure(f"was not ready within {timeout_seconds:g} seconds")

    def stop(self, grace_seconds: float = 10.0) -> int:
        """Send SIGTERM, then SIGKILL after the grace period; return the exit code."""
        if self.is_running:
            self._process.terminate()
        try:
            self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
        code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        return code

    def log_tail(self) -> str:
        """The end of the child's standard error; a guarded program's standard output is in it too."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), _TAIL_BYTES, max(0, size - _TAIL_BYTES)).decode(errors="replace")

    def _failure(self, what: str) -> ProcessError:
        return ProcessError(f"{self.name} {what}\n{self.log_tail()}".rstrip())


@contextmanager
def child_process(
    name: str,
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    is_third_party: bool = False,
    grace_seconds: float = 5.0,
) -> Iterator[Child]:
    """Run a command while the block runs.

    Args:
        name: how error messages call it.
        command: the program and its arguments.
        environment: variables to add to those of this process.
        directory: its working directory; the project's root by default.
        is_third_party: run it under a guard. Its standard output then goes to the log.
        grace_seconds: time between SIGTERM and SIGKILL at the end.
    """
    root = Path(__file__).resolve().parents[1]
    # Coverage of testkit and benchmarks is not asked for, and slows their processes down.
    inherited = {**os.environ, "COVERAGE_PROCESS_CONFIG": "", **(environment or {})}
    if is_third_party:
        command = [sys.executable, str(Path(__file__).resolve()), str(grace_seconds), *command]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log if is_third_party else subprocess.PIPE,
            stderr=log,
            cwd=directory or root,
            env=inherited,
            start_new_session=True,  # Ctrl-C goes to this process only: it stops its children in order
        )
        child = Child(name, process, log)
        try:
            yield child
        finally:
            child.stop(grace_seconds + 5.0 if is_third_party else grace_seconds)  # the guard needs a little longer


def free_port() -> int:
    """A TCP port of the loopback address that was free just now, for programs that cannot choose one."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def guard(grace_seconds: float, command: Sequence[str]) -> int:
    """Run a program in its own process group until it ends, a signal arrives, or the starting process is gone."""
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _end_group(program.pid, grace_seconds))
    threading.Thread(target=_end_with_starter, args=(program.pid, grace_seconds), daemon=True).start()
    code = program.wait()
    _signal_group(program.pid, signal.SIGKILL)  # children that the program left running
    return code


def _end_with_starter(group: int, grace_seconds: float) -> None:
    while os.read(0, 4_096):
        pass
    _end_group(group, grace_seconds)


def _end_group(group: int, grace_seconds: float) -> None:
    _signal_group(group, signal.SIGTERM)
    reaper = threading.Timer(grace_seconds, _signal_group, (group, signal.SIGKILL))
    reaper.daemon = True
    reaper.start()


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(guard(float(sys.argv[1]), sys.argv[2:]))
