"""Start the queue server as a process of its own, for tests, the demo and measurements."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from testkit.process import Child, child_process
from testkit.sqs import limits

_START_SECONDS = 20.0


class QueueServer:
    """A running queue server."""

    def __init__(self, child: Child, endpoint_url: str) -> None:
        self._child = child
        self.endpoint_url = endpoint_url

    @property
    def pid(self) -> int:
        """The server's process id, to look at what it uses."""
        return self._child.pid

    def stop(self) -> int:
        """End the server now and return its exit code; the context manager does it anyway."""
        return self._child.stop()


@contextmanager
def local_queue_server(
    *,
    port: int = 0,
    access_key: str = "local",
    secret_key: str = "local",
    region: str = "us-east-1",
    in_flight_limit: int = limits.MAX_IN_FLIGHT,
    keeps_history: bool = False,
) -> Iterator[QueueServer]:
    """A queue server that runs while the block runs.

    Raises:
        PartError: if it does not come up; with the end of its log.
    """
    command = [sys.executable, "-m", "testkit.sqs", "--port", str(port), "--region", region]
    command += ["--in-flight-limit", str(in_flight_limit)]
    if keeps_history:
        command.append("--history")
    # Credentials travel in the environment: arguments can be read by every user of the machine.
    environment = {"QUEUE_LAB_ACCESS_KEY": access_key, "QUEUE_LAB_SECRET_KEY": secret_key}
    with child_process("the local queue server", command, environment=environment) as child:
        ready = msgspec.json.decode(child.read_line(_START_SECONDS))
        yield QueueServer(child, ready["endpoint_url"])
