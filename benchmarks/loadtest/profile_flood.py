"""CPU profile of the daemon in a flood, by component: `python -m benchmarks.loadtest.profile_flood`.

The daemon drains a backlog as a real process while py-spy samples its stack two hundred times a second. Each sample
counts for the component (or library) of the innermost frame that has a name here, so the shares add up to 100 %; the
CPU time of the same run converts them to microseconds per event. The SQS emulator's CPU time is printed too: its code
is the same in every run, so the daemon's time divided by it cancels out the speed of the machine.
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
from testkit.environment import LocalEnvironment, local_environment
from testkit.local_stack import running_daemon
from testkit.process import ProcessError
from testkit.workload.backlogs import BacklogLoad

_EVENT_LOOP: Final = "asyncio/runners"
"""On every stack of the working thread; other threads only wait for names to be resolved."""

COMPONENTS: Final = (
    ("HTTP to the queue", ("aiohttp/", "yarl/", "multidict/", "httptools", "aws/http_")),
    ("signing", ("aws/signing", "hmac.py", "hashlib.py")),
    ("SQS JSON", ("sqs/wire",)),
    ("AWS calls: credentials, timeouts, errors", ("sqs/client.py", "adapters/aws", "aiobotocore/", "botocore/")),
    ("database: asyncpg and rows to columns", ("asyncpg/", "adapters/postgres", "frozen abc")),
    ("event decoding", ("subscriber/events/", "urllib/parse")),
    ("receive, visibility leases", ("pipeline/receive", "flow/lease", "flow/visibility")),
    ("batch", ("pipeline/batch",)),
    (
        "write",
        ("pipeline/write", "pipeline/attempts", "pipeline/bisection", "pipeline/steps", "flow/limiter", "flow/breaker"),
    ),
    ("acknowledge", ("pipeline/acknowledge",)),
    ("channels and wake-ups", ("flow/",)),
    ("metrics and log", ("prometheus_client/", "structlog/", "observe/")),
    ("asyncio: tasks, timeouts, semaphores", ("asyncio/tasks", "asyncio/timeouts", "asyncio/locks", "asyncio/taskgr")),
    ("event loop and sockets (uvloop)", (_EVENT_LOOP,)),
)
_SAMPLES_PER_SECOND: Final = 200
_DRAIN_TIMEOUT_SECONDS: Final = 300.0


def component_of(stack: str) -> str:
    """The component a stack belongs to; frames are separated by semicolons, outermost first."""
    for frame in reversed(stack.split(";")):
        for component, marks in COMPONENTS:
            if any(mark in frame for mark in marks):
                return component
    return "other"


def shares(lines: Iterable[str]) -> dict[str, float]:
    """The share of each component in all samples of the working thread, largest first; lines are `stack count`."""
    samples: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rstrip().rpartition(" ")
        if _EVENT_LOOP in stack:
            samples[component_of(stack)] += int(count)
    return {component: count / samples.total() for component, count in samples.most_common()}


def profile(messages: int) -> int:
    """Drains `messages` and prints the table; returns the exit code.

    Raises:
        ProcessError: a part did not start, or the daemon stopped draining.
    """
    with local_environment() as parts, tempfile.TemporaryDirectory(prefix="subscriber-profile-") as folder:
        queue_url = parts.make_queue("object-events")
        with running_daemon(parts, queue_url) as daemon:
            before = cpu_seconds(daemon.pid), cpu_seconds(parts.server.pid)
            profiler = _start_profiler(daemon.pid, Path(folder) / "stacks")
            BacklogLoad("flood", messages).attach(parts.client, queue_url)
            _wait_until_empty(parts, queue_url)
            used = cpu_seconds(daemon.pid) - before[0], cpu_seconds(parts.server.pid) - before[1]
            profiler.send_signal(signal.SIGINT)
            profiler.wait()
            daemon.stop()
        lines = (Path(folder) / "stacks").read_text().splitlines()
    of_daemon, of_server = (seconds / messages * 1e6 for seconds in used)
    print(f"{messages:,} events, CPU time per event, while py-spy samples:")
    print(f"  daemon {of_daemon:.1f} µs, SQS emulator {of_server:.1f} µs, ratio {of_daemon / of_server:.2f}")
    for component, share in shares(lines).items():
        print(f"  {component:<42} {share:>6.1%} {share * of_daemon:>6.1f} µs")
    return 0


def _start_profiler(process_id: int, path: Path) -> subprocess.Popen[bytes]:
    command = ["py-spy", "record", "--pid", str(process_id), "--rate", str(_SAMPLES_PER_SECOND)]
    options = ["--duration", "unlimited", "--format", "raw", "--output", str(path)]
    program = str(Path(sys.executable).parent / command[0])
    return subprocess.Popen([program, *command[1:], *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _wait_until_empty(parts: LocalEnvironment, queue_url: str) -> None:
    deadline = time.monotonic() + _DRAIN_TIMEOUT_SECONDS
    while parts.unfinished(queue_url):
        if time.monotonic() > deadline:
            raise ProcessError("the queue does not drain")
        time.sleep(0.1)


def main() -> None:
    """Profiles a drain of the size that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loadtest.profile_flood", description=__doc__)
    parser.add_argument("--messages", type=int, default=150_000)
    sys.exit(profile(parser.parse_args().messages))


if __name__ == "__main__":
    main()
