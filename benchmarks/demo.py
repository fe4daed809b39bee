"""The demo: runs the whole pipeline on this machine for about a minute, then accounts for every message.

`python -m benchmarks.demo` (or `make demo`) starts PostgreSQL, an SQS emulator and the real daemon. It sends 200 events
a second with a burst of 5,000, including duplicates, events out of order and unreadable messages, and shows the
pipeline's progress. At the end it compares the index with the simulated buckets that the events describe, and looks for
every message in the index and the quarantine. Last it fills the index from a bucket that was there before, and lets
`subscriber reconcile` find changes whose events were lost on purpose, and asks the index what is in it. The exit code
is not 0 if a message is lost, a row is wrong, or anything else is reported.

STAY=1 keeps everything running until Ctrl-C and prints commands to try. One of them is
`python -m benchmarks.demo put KEY`: it sends the event of a new object to the queue, as S3 does.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from benchmarks.demo_bucket import COMPARED, demo_buckets, fill_and_compare
from benchmarks.demo_questions import ask
from testkit.checker.compare import Comparison, compare, read_stored
from testkit.checker.latency import Latency, commit_latency
from testkit.local_stack import DemoStack, Reading, demo_stack, running_load
from testkit.postgres.postgres_binaries import LocalPostgresError, client_program
from testkit.process import Child, ProcessError
from testkit.sqs.raw_client import RawClient
from testkit.terminal import Screen, clock, duration
from testkit.workload.bucket import Emission, SimulatedBucket
from testkit.workload.load import LoadPlan, Phase
from testkit.workload.notifications import body_of
from testkit.workload.send_log import SendLog, Sent

PLAN = LoadPlan(profile=(Phase(200, 15), Phase(5_000, 3), Phase(200, 25)), start_second=int(time.time()) - 3_600)
POLL_SECONDS = 0.5
DRAIN_SECONDS = 120.0
"""How long the daemon may take to drain the queue after the last message."""
CONTROL_TOKEN = "demo-control-token"
SETTINGS = {
    "SUBSCRIBER_CONTROL_TOKEN": CONTROL_TOKEN,
    # Its database serves nothing else: all writers from the start.
    "SUBSCRIBER_WRITE_MIN_CONCURRENCY": "8",
}
PUT_BUCKET = "demo"


class Outcome(msgspec.Struct, frozen=True):
    """The figures of the summary."""

    comparison: Comparison
    latency: Latency
    quiet_latency: Latency
    """Latency of the events that were sent before the burst."""
    at_start: Reading
    at_end: Reading
    seconds: float
    """From the first message to the last deletion from the queue."""
    duplicates: int

    @property
    def is_flawless(self) -> bool:
        """Whether no message is lost, left in the queue or a dead letter, and no row is wrong."""
        left = self.at_end.unfinished + self.at_end.dead_letters
        return self.comparison.is_flawless and not left and self.at_end.deleted >= self.comparison.sent


def demonstrate(screen: Screen) -> int:
    """Runs the demo and returns its exit code."""
    screen.say(
        screen.styled("subscriber", "bold")
        + " – keeps an index of S3 objects in PostgreSQL, from the events in a queue\n"
    )
    screen.say("  starting PostgreSQL, an SQS emulator and the daemon …")
    with tempfile.TemporaryDirectory(prefix="subscriber-demo-") as folder, demo_stack(SETTINGS) as running:
        buckets = PLAN.buckets()
        screen.say(f"  sending {_profile()}, with duplicates, reordering, deletes and a few unreadable bodies")
        screen.say(
            "  wait: age of messages when received; batching and writing come on top, see send to commit below\n"
        )
        sent_file = Path(folder) / "sent.jsonl"
        record = SendLog(sent_file)
        # The listing server computes its buckets while the load begins, so that nobody waits for it at the end.
        with running_load(running.queue_url, PLAN, sent_file) as load, demo_buckets(PLAN, running.queue_url) as server:
            started, at_start = time.monotonic(), running.read()
            at_end = _watch(screen, running, load, record)
            seconds = time.monotonic() - started
            load_code = load.stop()
            outcome = _outcome(running, record.messages, buckets, (at_start, at_end, seconds))
            _summarize(screen, outcome)
            variables = running.client_variables() | {"AWS_ENDPOINT_URL_S3": server.endpoint_url}
            (compared,) = (bucket for bucket in buckets if bucket.name == COMPARED)
            is_equal = fill_and_compare(screen, variables, compared)
            ask(screen, variables)
            if os.environ.get("STAY") == "1":
                _stay(screen, variables)
        is_drained = _stop(screen, running)
    is_good = outcome.is_flawless and is_equal and is_drained and load_code == 0
    return 0 if is_good else 1


def _watch(screen: Screen, running: DemoStack, load: Child, record: SendLog) -> Reading:
    """Shows the progress until everything is sent and the queue is empty, or DRAIN_SECONDS have passed."""
    started = earlier_at = time.monotonic()
    earlier, sent_earlier, deadline = running.read(), 0, float("inf")
    while True:
        time.sleep(POLL_SECONDS)
        is_loading = load.is_running
        now, sent, at = running.read(), record.catch_up(), time.monotonic()
        screen.show(_progress(now, earlier, (sent, sent_earlier), (at - started, at - earlier_at)))
        if is_loading:
            deadline = at + DRAIN_SECONDS
        elif not now.unfinished or at > deadline:
            return now
        earlier, sent_earlier, earlier_at = now, sent, at


def _progress(now: Reading, earlier: Reading, sent: tuple[int, int], seconds: tuple[float, float]) -> list[str]:
    """Totals, and rates since the earlier reading; 79 columns without the last part."""
    elapsed, since = seconds
    rows = now.applied_rows - earlier.applied_rows
    database = (now.database_cpu_seconds - earlier.database_cpu_seconds) / since
    return [
        f"{clock(elapsed):>5}",
        f"sent {sent[0]:>6,} {(sent[0] - sent[1]) / since:>5,.0f}/s",
        f"rows {now.applied_rows:>6,} {rows / since:>5,.0f}/s",
        f"queued {now.unfinished:>6,}",
        f"wait {duration(now.newest_receive_age_seconds):>6}",
        f"database {database:>3.0%} CPU",
    ]


def _outcome(
    running: DemoStack,
    sent: Sequence[Sent],
    buckets: tuple[SimulatedBucket, ...],
    measured: tuple[Reading, Reading, float],
) -> Outcome:
    stored = asyncio.run(read_stored(running.postgres.url))
    burst_at = min(message.sent_at for message in sent) + PLAN.profile[0].seconds
    quiet = [message for message in sent if message.sent_at < burst_at]
    events = [(message.version, message.sequencer) for message in sent if message.bucket]
    return Outcome(
        compare(sent, stored, buckets),
        commit_latency(sent, stored.versions),
        commit_latency(quiet, stored.versions),
        *measured,
        duplicates=len(events) - len(set(events)),
    )


def _summarize(screen: Screen, outcome: Outcome) -> None:
    """Prints the figures and the result."""
    screen.say()
    screen.table([*_counts(outcome), ("", "", ""), *_latencies(outcome), ("", "", ""), *_costs(outcome)])
    text, color = ("no message lost, no row wrong", "green") if outcome.is_flawless else ("FAILED", "red")
    screen.say(f"\n  {screen.styled(text, 'bold', color)}\n")


def _counts(outcome: Outcome) -> list[tuple[str, str, str]]:
    comparison, end = outcome.comparison, outcome.at_end
    left = f"{end.unfinished:,} left in the queue, {end.dead_letters:,} dead letters"
    wrong = comparison.wrong_versions + comparison.wrong_objects
    return [
        ("sent", f"{comparison.sent:,}", f"messages, {outcome.duplicates:,} of them duplicates"),
        (
            "committed",
            f"{comparison.committed:,}",
            f"to the index; {comparison.without_row:,} more need no row (tags, ACLs)",
        ),
        ("deleted", f"{end.deleted:,}", f"from the queue; {left}"),
        ("quarantined", f"{comparison.quarantined:,}", "unreadable, kept whole in the quarantine table"),
        ("lost", f"{comparison.lost:,}", "messages that are neither in the index nor in the quarantine"),
        ("wrong", f"{wrong:,}", "rows that differ from the buckets that the events describe"),
    ]


def _latencies(outcome: Outcome) -> list[tuple[str, str, str]]:
    whole, quiet = outcome.latency, outcome.quiet_latency
    return [
        (
            "send to commit",
            duration(whole.p50),
            f"p50 of {whole.events:,} events; later ones overwrote the others' rows",
        ),
        ("", duration(whole.p99), f"p99, burst included; maximum {duration(whole.longest)}"),
        ("before the burst", duration(quiet.p50), f"p50; p99 {duration(quiet.p99)}"),
    ]


def _costs(outcome: Outcome) -> list[tuple[str, str, str]]:
    daemon = outcome.at_end.daemon_cpu_seconds - outcome.at_start.daemon_cpu_seconds
    database = outcome.at_end.database_cpu_seconds - outcome.at_start.database_cpu_seconds
    return [
        (name, f"{spent:.1f} s", f"of CPU, {spent / outcome.seconds:.1%} of one core")
        for name, spent in (("daemon", daemon), ("database", database))
    ]


def _stay(screen: Screen, reached_by: Mapping[str, str]) -> None:
    """Prints commands to try, and keeps everything running until Ctrl-C."""
    variables = {**reached_by, "SUBSCRIBER_CONTROL_TOKEN": CONTROL_TOKEN}
    programs = Path(os.path.relpath(sys.executable)).parent
    query = f"SELECT key, size_bytes, event_time FROM subscriber.objects WHERE bucket = '{PUT_BUCKET}'"
    screen.say("  Everything keeps running until Ctrl-C. Try these lines in another terminal, in this folder:\n")
    for name, value in variables.items():
        screen.say(f"export {name}={shlex.quote(value)}")
    screen.say("\n# send the event of a new object, as S3 does; then find its row")
    screen.say(f"{programs / 'python'} -m benchmarks.demo put reports/today.csv")
    screen.say(f'{os.path.relpath(client_program("psql"))} "$SUBSCRIBER_DATABASE_URL" -c "{query}"')
    screen.say("\n# status, pause and resume")
    for command in ("control", "control pause", "control resume"):
        screen.say(f"{programs / 'subscriber'} {command}")
    screen.say(f"\n# in a browser: http://127.0.0.1:{variables['SUBSCRIBER_HTTP_PORT']}/\n")
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        screen.say()


def _stop(screen: Screen, running: DemoStack) -> bool:
    """Stops the daemon as a deployment would; returns whether it drained its messages."""
    started = time.monotonic()
    code = running.daemon.stop()
    text = "finished its work and stopped" if code == 0 else f"ended with exit code {code}"
    screen.say(f"  SIGTERM: the daemon {text} in {duration(time.monotonic() - started)}")
    if code != 0:
        screen.say(running.daemon.log_tail())
    return code == 0


def _profile() -> str:
    burst = max(phase.messages_per_second for phase in PLAN.profile)
    return f"{PLAN.profile[0].messages_per_second:g} messages a second and a burst of {burst:,.0f}"


def put(key: str) -> str:
    """Sends the event of a new object to the first queue of SUBSCRIBER_QUEUE_URLS; returns what was done."""
    queue_url = os.environ.get("SUBSCRIBER_QUEUE_URLS", "").partition(",")[0]
    if not queue_url:
        sys.exit("SUBSCRIBER_QUEUE_URLS is not set: start `make demo STAY=1` and copy its export lines first")
    now = datetime.now(UTC)
    event = Emission(PUT_BUCKET, key, None, "ObjectCreated:Put", now, f"{time.time_ns():018X}", 1_024, "0" * 32)
    address = urlsplit(queue_url)
    try:
        with RawClient(f"{address.scheme}://{address.netloc}") as client:
            client.call("SendMessage", QueueUrl=queue_url, MessageBody=body_of(event))
    except OSError as error:
        sys.exit(f"no SQS emulator at {address.netloc} ({error}): is the demo still running?")
    return f"sent ObjectCreated:Put of s3://{PUT_BUCKET}/{key}"


def main() -> None:
    """Runs the demo and exits with its code; Ctrl-C and SIGTERM stop everything that was started."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=__doc__)
    parser.add_argument("command", nargs="*", metavar="put KEY", help="send the event of a new object and end")
    command = parser.parse_args().command
    screen = Screen()
    if command:
        if len(command) != 2 or command[0] != "put":
            parser.error("the only command is: put KEY")
        screen.say(put(command[1]))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(demonstrate(screen))
    except KeyboardInterrupt:
        screen.say("\n  stopped; no process is left running")
        sys.exit(130)
    except (ProcessError, LocalPostgresError) as error:
        screen.say(f"\n  {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
