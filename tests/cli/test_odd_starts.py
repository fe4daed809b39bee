"""Starts with odd streams, as real processes: a sentence or silence, and never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from subscriber.errors import ExitCode

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "not-for-the-log",
    "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:9",
    "SUBSCRIBER_QUEUE_URLS": "http://127.0.0.1:9/000000000000/events",
    "SUBSCRIBER_DATABASE_URL": "postgresql://writer:geheim@127.0.0.1:9/lake",
    "SUBSCRIBER_HTTP_PORT": "0",
}
"""Nothing answers on port 9, discard."""


def ended(command: str, redirection: str, before: str = "") -> tuple[int, str]:
    """Exit code and output of a command whose streams a shell has redirected, `before` which it does something."""
    script = f'{before}exec "$0" -m subscriber {command} {redirection}'
    done = subprocess.run(
        ["sh", "-c", script, sys.executable],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT,
        check=False,
        timeout=50,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"], ids=["stdout", "all"])
def test_closed_streams_lead_nowhere(closed: str) -> None:
    """No socket gets the descriptor of a closed stream, for which libuv ends the process by abort."""
    assert ended("settings", closed) == (0, "")
    assert ended("check", closed) == (ExitCode.DATABASE, "")


def test_the_daemon_runs_with_closed_streams() -> None:
    """It ends with its own exit code, after it has tried the queue."""
    assert ended("run", "<&- >&- 2>&-") == (ExitCode.QUEUE, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
@pytest.mark.parametrize("command", ["settings", "failures", "check"])
def test_output_that_cannot_be_written_is_a_sentence(command: str) -> None:
    """A full disk is named in one line."""
    line = "subscriber: the output cannot be written: No space left on device\n"
    assert ended(command, "> /dev/full") == (ExitCode.FAILED, line)


@pytest.mark.parametrize("limit", [8, 12, 63])
@pytest.mark.parametrize("command", ["run", "check", "migrate", "settings", "quarantine list"])
def test_a_tiny_limit_of_open_files_is_a_sentence(command: str, limit: int) -> None:
    """Exit 2 with the remedy, before an import or a connection fails with a traceback or an abort."""
    line = (
        f"subscriber: this process may open {limit} files and connections, but needs 64: raise the limit (ulimit -n, "
        "LimitNOFILE= of systemd, ulimits of a container)\n"
    )
    assert ended(command, "", f"ulimit -n {limit}; ") == (ExitCode.CONFIGURATION, line)


def test_the_daemon_needs_as_many_files_as_its_settings_allow_connections() -> None:
    """Exit 2 names the settings, too: a daemon that starts and later lacks a descriptor would stop receiving."""
    code, output = ended("run", "", "ulimit -n 128; ")
    assert code == ExitCode.CONFIGURATION
    assert "this process may open 128 files and connections, but needs 2" in output
    remedy = ", or lower SUBSCRIBER_RECEIVE_MAX_POLLS or SUBSCRIBER_WRITE_MAX_CONCURRENCY"
    assert output.rstrip().endswith(remedy)


def test_a_low_soft_limit_is_raised() -> None:
    """The hard limit is what counts: the daemon starts, and ends because nothing answers as its queue."""
    code, output = ended("run", "", "ulimit -S -n 12; ")
    assert code == ExitCode.QUEUE
    assert "Too many open files" not in output


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    """A command whose reader has gone ends without a word."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        command = [sys.executable, "-m", "subscriber", "failures"]
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, cwd=ROOT, env=ENVIRONMENT, check=False)
    assert (done.returncode, done.stderr) == (1, b"")


UNEXPECTED = """
import subscriber.cli.control as control
from subscriber.cli.main import main

def ask(address, token, command=None):
    raise RuntimeError("unexpected")

control.ask = ask
main(["control", "status"])
"""


def test_an_unexpected_error_of_any_command_shows_no_variable() -> None:
    """Its traceback goes to stderr as plain text: with the values of variables it would show tokens."""
    token = "open-sesame-42"
    environment = ENVIRONMENT | {"SUBSCRIBER_CONTROL_TOKEN": token, "SUBSCRIBER_HTTP_PORT": "9"}
    command = [sys.executable, "-c", UNEXPECTED]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert (done.returncode, done.stdout) == (ExitCode.FAILED, "")
    assert done.stderr.rstrip().endswith("RuntimeError: unexpected")
    assert token not in done.stderr
