"""Starts the SQS emulator as a child process, for tests, the demo and the load test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from testkit.process import Child, child_process
from testkit.sqs import limits

_START_SECONDS = 20.0


class QueueServer:
    """A running SQS emulator."""

    def __init__(self, child: Child, endpoint_url: str) -> None:
        self._child = child
        self.endpoint_url = endpoint_url

    @property
    def pid(self) -> int:
        """The server's process id, for measuring its CPU time."""
        return self._child.pid

    def stop(self) -> int:
        """Stop the server now and return its exit code; otherwise the context manager stops it."""
        return self._child.stop()


@contextmanager
def local_queue_server(
    *,
    port: int = 0,
    access_key: str = "local",
    secret_key: str = "local",
    region: str = "us-east-1",
    in_flight_limit: int = limits.MAX_IN_FLIGHT,
    keeps_audit_log: bool = False,
) -> Iterator[QueueServer]:
    """An SQS emulator that runs while the block runs.

    Raises:
        ProcessError: it does not start; with the end of its log.
    """
    command = [sys.executable, "-m", "testkit.sqs", "--port", str(port), "--region", region]
    command += ["--in-flight-limit", str(in_flight_limit)]
    if keeps_audit_log:
        command.append("--audit-log")
    # Credentials are passed in the environment: every user of the machine can read arguments.
    environment = {"TESTKIT_SQS_ACCESS_KEY": access_key, "TESTKIT_SQS_SECRET_KEY": secret_key}
    with child_process("the SQS emulator", command, environment=environment) as child:
        ready = msgspec.json.decode(child.read_line(_START_SECONDS))
        yield QueueServer(child, ready["endpoint_url"])
