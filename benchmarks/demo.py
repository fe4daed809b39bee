"""The demo: a minute of the whole line on this machine, and the proof that nothing was lost.

`python -m benchmarks.demo` (or `make demo`) starts a PostgreSQL, a queue and the real daemon, sends 200 events a
second with a burst of 5,000, some twice, out of order, some unreadable, and shows how the line copes. At the
end the index is compared with the simulated buckets that the events came from, and every message with the
index. STAY=1 keeps everything up until Ctrl-C. The exit code is not 0 if anything is lost or wrong.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from testkit.checker.compare import Verdict, judge, read_stored
from testkit.checker.latency import Latency, commit_latency
from testkit.local_stack import Reading, Rehearsal, rehearsal, running_load
from testkit.postgres.postgres_binaries import LocalPostgresError
from testkit.process import Child, PartError
from testkit.terminal import Screen, clock, duration
from testkit.workload.bucket import SimulatedBucket
from testkit.workload.load import LoadPlan, Phase
from testkit.workload.send_log import Sent, SentRecord

PLAN = LoadPlan(profile=(Phase(200, 15), Phase(5_000, 3), Phase(200, 25)), start_second=int(time.time()) - 3_600)
LOOK_SECONDS = 0.5
DRAIN_SECONDS = 120.0
"""How long after the last message the line may take to run dry."""


class Outcome(msgspec.Struct, frozen=True):
    """What the summary tells."""

    verdict: Verdict
    latency: Latency
    quiet_latency: Latency
    """Of what was sent before the burst."""
    at_start: Reading
    at_end: Reading
    seconds: float
    """From the first message to the last deletion."""
    duplicates: int

    @property
    def is_flawless(self) -> bool:
        """Nothing is lost, wrong, left in the queue or dead."""
        left = self.at_end.unfinished + self.at_end.dead_letters
        return self.verdict.is_flawless and not left and self.at_end.deleted >= self.verdict.sent


def demonstrate(screen: Screen) -> int:
    """Runs the demo; the exit code."""
    screen.say(screen.styled("subscriber", "bold") + " – S3 events from a queue into an index in PostgreSQL\n")
    screen.say("  starting PostgreSQL, a queue and the daemon …")
    with tempfile.TemporaryDirectory(prefix="subscriber-demo-") as folder, rehearsal() as running:
        buckets = PLAN.buckets()
        screen.say(f"  sending {_profile()}: duplicates, reordering, deletes, a few unreadable\n")
        record = SentRecord(Path(folder) / "sent.jsonl")
        with running_load(running.queue_url, PLAN, Path(folder) / "sent.jsonl") as load:
            started, at_start = time.monotonic(), running.read()
            at_end = _watch(screen, running, load, record)
            seconds = time.monotonic() - started
            load_code = load.stop()
        outcome = _outcome(running, record.messages, buckets, (at_start, at_end, seconds))
        _summarize(screen, outcome)
        if os.environ.get("STAY") == "1":
            _stay(screen, running)
        is_stopped_dry = _stop(screen, running)
    is_good = outcome.is_flawless and is_stopped_dry and load_code == 0
    return 0 if is_good else 1


def _watch(screen: Screen, running: Rehearsal, load: Child, record: SentRecord) -> Reading:
    """Shows the line at work until everything is sent and the queue is empty, or time is up."""
    started = earlier_at = time.monotonic()
    earlier, sent_earlier, deadline = running.read(), 0, float("inf")
    while True:
        time.sleep(LOOK_SECONDS)
        is_loading = load.is_running
        now, sent, at = running.read(), record.catch_up(), time.monotonic()
        screen.show(_line(now, earlier, (sent, sent_earlier), (at - started, at - earlier_at)))
        if is_loading:
            deadline = at + DRAIN_SECONDS
        elif not now.unfinished or at > deadline:
            return now
        earlier, sent_earlier, earlier_at = now, sent, at


def _line(now: Reading, earlier: Reading, sent: tuple[int, int], seconds: tuple[float, float]) -> list[str]:
    """One look at the line: totals, and rates since the look before; 79 columns without the last part."""
    elapsed, since = seconds
    rows = now.applied_rows - earlier.applied_rows
    database = (now.database_cpu_seconds - earlier.database_cpu_seconds) / since
    return [
        f"{clock(elapsed):>5}",
        f"sent {sent[0]:>6,} {(sent[0] - sent[1]) / since:>5,.0f}/s",
        f"rows {now.applied_rows:>6,} {rows / since:>5,.0f}/s",
        f"queued {now.unfinished:>6,}",
        f"lag {duration(now.lag_seconds):>6}",
        f"database {database:>3.0%} CPU",
    ]


def _outcome(
    running: Rehearsal,
    sent: Sequence[Sent],
    buckets: tuple[SimulatedBucket, ...],
    measured: tuple[Reading, Reading, float],
) -> Outcome:
    stored = asyncio.run(read_stored(running.postgres.url))
    burst_at = min(message.sent_at for message in sent) + PLAN.profile[0].seconds
    quiet = [message for message in sent if message.sent_at < burst_at]
    events = [(message.version, message.sequencer) for message in sent if message.bucket]
    return Outcome(
        judge(sent, stored, buckets),
        commit_latency(sent, stored.versions),
        commit_latency(quiet, stored.versions),
        *measured,
        duplicates=len(events) - len(set(events)),
    )


def _summarize(screen: Screen, outcome: Outcome) -> None:
    """Figures, and the word that follows from them."""
    screen.say()
    screen.table([*_counts(outcome), ("", "", ""), *_latencies(outcome), ("", "", ""), *_costs(outcome)])
    word, color = ("nothing lost, nothing wrong", "green") if outcome.is_flawless else ("NOT FLAWLESS", "red")
    screen.say(f"\n  {screen.styled(word, 'bold', color)}\n")


def _counts(outcome: Outcome) -> list[tuple[str, str, str]]:
    verdict, end = outcome.verdict, outcome.at_end
    left = f"left in it: {end.unfinished:,}, dead letters: {end.dead_letters:,}"
    wrong = verdict.wrong_versions + verdict.wrong_objects
    return [
        ("sent", f"{verdict.sent:,}", f"messages, {outcome.duplicates:,} of them duplicates"),
        ("committed", f"{verdict.committed:,}", f"and {verdict.without_row:,} that say nothing about existence"),
        ("deleted", f"{end.deleted:,}", f"by the queue's own word; {left}"),
        ("quarantined", f"{verdict.quarantined:,}", "unreadable bodies, kept in the quarantine"),
        ("lost", f"{verdict.lost:,}", "every message was looked for in the index and the quarantine"),
        ("wrong", f"{wrong:,}", "rows of index and view, compared with the buckets the events came from"),
    ]


def _latencies(outcome: Outcome) -> list[tuple[str, str, str]]:
    whole, quiet = outcome.latency, outcome.quiet_latency
    return [
        ("from send to commit", duration(whole.p50), f"p50 of the {whole.events:,} events still in their row"),
        ("", duration(whole.p99), f"p99, burst included; the longest {duration(whole.longest)}"),
        ("before the burst", duration(quiet.p50), f"p50; p99 {duration(quiet.p99)}"),
    ]


def _costs(outcome: Outcome) -> list[tuple[str, str, str]]:
    daemon = outcome.at_end.daemon_cpu_seconds - outcome.at_start.daemon_cpu_seconds
    database = outcome.at_end.database_cpu_seconds - outcome.at_start.database_cpu_seconds
    return [
        (name, f"{spent:.1f} s", f"of CPU, {spent / outcome.seconds:.1%} of one core")
        for name, spent in (("daemon", daemon), ("database", database))
    ]


def _stay(screen: Screen, running: Rehearsal) -> None:
    """Keeps everything up until Ctrl-C."""
    port = running.daemon.wait_for("http.listening")["port"]
    screen.say(f"  pages      http://127.0.0.1:{port}/")
    screen.say(f"  database   {running.postgres.url}")
    screen.say(f"  queue      {running.queue_url}")
    screen.say("  everything stays up until Ctrl-C")
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        screen.say()


def _stop(screen: Screen, running: Rehearsal) -> bool:
    """Stops the daemon as a deployment would, and says whether it ran dry."""
    started = time.monotonic()
    code = running.daemon.stop()
    word = "ran dry" if code == 0 else f"ended with code {code}"
    screen.say(f"  SIGTERM: the daemon {word} in {duration(time.monotonic() - started)}")
    if code != 0:
        screen.say(running.daemon.log_tail())
    return code == 0


def _profile() -> str:
    burst = max(phase.messages_per_second for phase in PLAN.profile)
    return f"{PLAN.profile[0].messages_per_second:g} messages a second with a burst of {burst:,.0f}"


def main() -> None:
    """Runs the demo and exits with its code; Ctrl-C and SIGTERM stop everything that was started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    screen = Screen()
    try:
        sys.exit(demonstrate(screen))
    except KeyboardInterrupt:
        screen.say("\n  stopped: nothing is left running")
        sys.exit(130)
    except (PartError, LocalPostgresError) as error:
        screen.say(f"\n  {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
