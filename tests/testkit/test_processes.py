"""Child processes end with the process that started them, however it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable

import msgspec
import psutil
import pytest

from testkit.process import ProcessError, child_process
from testkit.sqs import local_queue_server

_WAIT_SECONDS = 60.0


def _eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.02)
    return False


def _start_server(stdin: int) -> tuple[subprocess.Popen[bytes], int]:
    process = subprocess.Popen([sys.executable, "-m", "testkit.sqs"], stdin=stdin, stdout=subprocess.PIPE)
    assert process.stdout is not None
    return process, msgspec.json.decode(process.stdout.readline())["pid"]


def test_the_queue_server_ends_with_its_standard_input() -> None:
    """The server exits with code 0 when the pipe to it is closed."""
    process, _ = _start_server(subprocess.PIPE)
    process.communicate()
    assert process.returncode == 0


def test_the_queue_server_ends_on_sigterm() -> None:
    """SIGTERM ends the server with code 0, whatever its standard input is."""
    process, pid = _start_server(subprocess.DEVNULL)
    assert pid == process.pid
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 0


def test_the_queue_server_ends_with_its_parent() -> None:
    """A server whose parent was killed ends, even if its standard input stays open."""
    script = (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-m', 'testkit.sqs'], stdin=subprocess.DEVNULL).wait()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = msgspec.json.decode(parent.stdout.readline())["pid"]
    parent.kill()
    parent.communicate()
    assert _eventually(lambda: not _is_alive(pid))


def test_stop_ends_the_server() -> None:
    """`stop` ends the server with code 0, and the context manager may call it again."""
    with local_queue_server() as server:
        assert server.stop() == 0
        assert not _is_alive(server.pid)


def test_a_third_party_program_does_not_outlive_its_starter() -> None:
    """A program that ignores SIGTERM, and its own children, end when the process that started it is killed."""
    program = "trap '' TERM; sleep 600 & echo $$ $! >&2; wait; sleep 600"
    script = (
        "import sys, time\n"
        "from testkit.process import child_process\n"
        f"command = ['sh', '-c', {program!r}]\n"
        "with child_process('sleeper', command, is_third_party=True, grace_seconds=0.2) as child:\n"
        "    print(child.wait_until(lambda: child.log_tail() or None, 60), flush=True)\n"
        "    time.sleep(600)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert starter.stdout is not None
    pids = [int(word) for word in starter.stdout.readline().split()]
    assert len(pids) == 2
    assert all(map(_is_alive, pids))
    starter.kill()
    starter.communicate()
    assert _eventually(lambda: not any(map(_is_alive, pids)))


def test_a_child_that_ends_early_is_reported() -> None:
    """The error has the exit code and the end of standard error of a child that ends before it is ready."""
    command = [sys.executable, "-c", "import sys; sys.exit('port in use')"]
    reported = pytest.raises(ProcessError, match=r"(?s)the server ended with code 1.*port in use")
    with reported, child_process("the server", command) as child:
        child.read_line(_WAIT_SECONDS)


def test_waiting_for_a_child_times_out() -> None:
    """The wait for readiness is bounded, and the child is stopped afterwards."""
    with child_process("the server", ["sleep", "600"]) as child:
        with pytest.raises(ProcessError, match=r"the server was not ready within 0\.2 seconds"):
            child.read_line(0.2)
        pid = child.pid
    assert not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
