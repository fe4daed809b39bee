"""What viewers of the live page cost: CPU time of the real daemon with 0 and 5 viewers in turn, under the same load.

`python -m benchmarks.live_page` takes three quarters of a minute and prints one line for each part.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from testkit.cpu import cpu_seconds
from testkit.local_stack import demo_stack, running_load
from testkit.workload.load import LoadPlan, Phase

TURNS = (0, 5, 0, 5)
TURN_SECONDS = 8.0
RATE = 100.0


@contextlib.contextmanager
def viewers(port: int, number: int) -> Iterator[None]:
    """So many readers of the stream, until the block ends."""
    connections = [http.client.HTTPConnection("127.0.0.1", port) for _ in range(number)]
    threads = [threading.Thread(target=_read, args=(each,), daemon=True) for each in connections]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for connection in connections:
            if connection.sock is not None:
                connection.sock.close()


def _read(connection: http.client.HTTPConnection) -> None:
    with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
        connection.request("GET", "/v1/live")
        answer = connection.getresponse()
        while answer.read1(65_536):
            pass


def _measured(port: int, pid: int, number: int) -> float:
    """The share of a core that the daemon uses with so many viewers."""
    with viewers(port, number):
        time.sleep(2)  # connected, and the load is steady
        before, began = cpu_seconds(pid), time.monotonic()
        time.sleep(TURN_SECONDS)
        return (cpu_seconds(pid) - before) / (time.monotonic() - began)


def main() -> None:
    """Measures and prints."""
    plan = LoadPlan(profile=(Phase(RATE, (TURN_SECONDS + 2) * len(TURNS) + 5),), start_second=int(time.time()) - 3_600)
    with tempfile.TemporaryDirectory() as folder, demo_stack() as running:
        port = int(running.client_variables()["SUBSCRIBER_HTTP_PORT"])
        with running_load(running.queue_url, plan, Path(folder) / "sent.jsonl"):
            for number in TURNS:
                share = _measured(port, running.daemon.pid, number)
                print(f"{number} viewers: {share:6.2%} of a core, load average {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
