"""Child processes of the lab: started, waited for until they are ready, and never left behind.

A child of our own watches its standard input and ends when that is closed. A foreign program does not, so it
is run under a guard, `python -m testkit.process program …`: a process that starts the program in a
process group of its own and ends that whole group when it is told to, or when its own standard input is
closed. The kernel closes it even if the starter is killed: no orphan outlives its test run.
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

_LOOK_SECONDS = 0.05
_TAIL_BYTES = 2_000


class PartError(Exception):
    """A part of the lab did not start or died; the text is for the person in front of it."""


class Child:
    """A running child process. Made by `child_process`."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self.name = name
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """The process id; of a foreign program, that of its guard."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process.poll() is None

    def read_line(self, timeout_seconds: float) -> bytes:
        """The next line the child writes to standard output.

        Raises:
            PartError: if the child ends or says nothing in time.
        """
        output = self._process.stdout
        if output is None:
            raise self._failure("has no standard output to read")

        def line_if_any() -> bytes | None:
            readable, _, _ = select.select([output], [], [], _LOOK_SECONDS)
            return output.readline() or None if readable else None

        return self.wait_until(line_if_any, timeout_seconds)

    def wait_until(self, ready: Callable[[], T | None], timeout_seconds: float) -> T:
        """Ask `ready` again and again until it gives something, and return that.

        Raises:
            PartError: if the child ends or is not ready in time.
        """
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            result = ready()
            if result is not None:
                return result
            if not self.is_running:
                raise self._failure(f"ended with code {self._process.returncode} before it was ready")
            time.sleep(_LOOK_SECONDS)
        raise self._failure(f"was not ready within {timeout_seconds:g} seconds")

    def stop(self, grace_seconds: float = 10.0) -> int:
        """End the process and return its exit code: SIGTERM first, SIGKILL after the grace."""
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
        """The end of what the child wrote to standard error (of a guarded program also to standard output)."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), _TAIL_BYTES, max(0, size - _TAIL_BYTES)).decode(errors="replace")

    def _failure(self, what: str) -> PartError:
        return PartError(f"{self.name} {what}\n{self.log_tail()}".rstrip())


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
        name: What errors call it.
        command: The program and its arguments.
        environment: Variables to add to those of this process.
        directory: Where it runs.
        is_third_party: It knows nothing of us: run it under a guard. Its standard output then goes to the log.
        grace_seconds: How long it has, at the end, between SIGTERM and SIGKILL.
    """
    root = Path(__file__).resolve().parents[1]
    inherited = {**os.environ, **(environment or {})}
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
            start_new_session=True,  # Ctrl-C is for us: we stop our children in order
        )
        child = Child(name, process, log)
        try:
            yield child
        finally:
            child.stop(grace_seconds + 5.0 if is_third_party else grace_seconds)  # a guard needs a moment more


def free_port() -> int:
    """A TCP port of the loopback address that was free a moment ago, for programs that cannot choose one."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def guard(grace_seconds: float, command: Sequence[str]) -> int:
    """Run a program in its own process group until it ends, we are told to stop, or our starter is gone."""
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _end_group(program.pid, grace_seconds))
    threading.Thread(target=_end_with_starter, args=(program.pid, grace_seconds), daemon=True).start()
    code = program.wait()
    _signal_group(program.pid, signal.SIGKILL)  # what the program itself left behind
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
