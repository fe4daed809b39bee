"""Where the daemon's time goes in a flood: `python -m benchmarks.loadtest.profile_flood`.

The daemon drains a backlog as a real process while py-spy looks at its stack two hundred times a second. Each look
counts for the part of the house (or the library) that the innermost frame we can name belongs to, so the shares add
up to all there is; the processor time of the same run turns them into microseconds an event. The queue server's own
cost is printed beside it, because it is the same code in every run: where the machine's speed changes, compare with it.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from testkit.cpu import cpu_seconds
from testkit.environment import Stage, stage
from testkit.local_stack import running_daemon
from testkit.process import PartError
from testkit.workload.backlogs import BacklogLoad

_EVENT_LOOP: Final = "asyncio/runners"
"""Every stack of the thread that works has it; the others wait for names to be resolved."""

PARTS: Final = (
    ("HTTP to the queue", ("aiohttp/", "yarl/", "multidict/", "httptools", "aws/http_")),
    ("signing", ("aws/signing", "hmac.py", "hashlib.py")),
    ("SQS's JSON", ("sqs/wire",)),
    ("calls: credentials, time-outs, errors", ("sqs/client.py", "adapters/aws", "aiobotocore/", "botocore/")),
    ("database: asyncpg and rows to columns", ("asyncpg/", "adapters/postgres", "frozen abc")),
    ("what events mean", ("subscriber/events/", "urllib/parse")),
    ("receive, with leases", ("pipeline/receive", "pipeline/intake", "flow/lease")),
    ("batch", ("pipeline/batch",)),
    ("write, with settlement", ("pipeline/write", "pipeline/settlement", "tenacity/", "flow/limiter", "flow/outage")),
    ("acknowledge", ("pipeline/acknowledge",)),
    ("channels and waiting", ("flow/",)),
    ("metrics and log", ("prometheus_client/", "structlog/", "observe/")),
    ("asyncio: tasks, time-outs, semaphores", ("asyncio/tasks", "asyncio/timeouts", "asyncio/locks", "asyncio/taskgr")),
    ("event loop and sockets (uvloop)", (_EVENT_LOOP,)),
)
_LOOKS_PER_SECOND: Final = 200
_PATIENCE_SECONDS: Final = 300.0


def part_of(stack: str) -> str:
    """The part that a stack, outermost frame first and separated by semicolons, belongs to."""
    for frame in reversed(stack.split(";")):
        for part, marks in PARTS:
            if any(mark in frame for mark in marks):
                return part
    return "other"


def shares(lines: Iterable[str]) -> dict[str, float]:
    """The part of all looks that each part of the house got, largest first; lines are `stack count`."""
    looks: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rstrip().rpartition(" ")
        if _EVENT_LOOP in stack:
            looks[part_of(stack)] += int(count)
    return {part: count / looks.total() for part, count in looks.most_common()}


def profile(messages: int) -> int:
    """Drains `messages` and prints the table; the exit code.

    Raises:
        PartError: a part did not come up, or the daemon stopped draining.
    """
    with stage() as parts, tempfile.TemporaryDirectory(prefix="subscriber-profile-") as folder:
        queue_url = parts.make_queue("object-events")
        with running_daemon(parts, queue_url) as daemon:
            before = cpu_seconds(daemon.pid), cpu_seconds(parts.server.pid)
            looking = _look(daemon.pid, Path(folder) / "stacks")
            BacklogLoad("flood", messages).attach(parts.client, queue_url)
            _wait_until_empty(parts, queue_url)
            spent = cpu_seconds(daemon.pid) - before[0], cpu_seconds(parts.server.pid) - before[1]
            looking.send_signal(signal.SIGINT)
            looking.wait()
            daemon.stop()
        lines = (Path(folder) / "stacks").read_text().splitlines()
    each, of_server = (seconds / messages * 1e6 for seconds in spent)
    print(f"{messages:,} events: {each:.1f} µs of the daemon each, py-spy beside it; queue server {of_server:.1f} µs")
    for part, share in shares(lines).items():
        print(f"  {part:<42} {share:>6.1%} {share * each:>6.1f} µs")
    return 0


def _look(process_id: int, path: Path) -> subprocess.Popen[bytes]:
    command = ["py-spy", "record", "--pid", str(process_id), "--rate", str(_LOOKS_PER_SECOND)]
    options = ["--duration", "unlimited", "--format", "raw", "--output", str(path)]
    program = str(Path(sys.executable).parent / command[0])
    return subprocess.Popen([program, *command[1:], *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _wait_until_empty(parts: Stage, queue_url: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while parts.unfinished(queue_url):
        if time.monotonic() > deadline:
            raise PartError("the queue does not get empty")
        time.sleep(0.1)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loadtest.profile_flood", description=__doc__)
    parser.add_argument("--messages", type=int, default=150_000)
    sys.exit(profile(parser.parse_args().messages))


if __name__ == "__main__":
    main()
