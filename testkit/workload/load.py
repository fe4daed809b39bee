"""The load generator: sends the seeded history of three buckets to a queue at a given rate.

    python -m testkit.workload.load --queue-url URL --profile 200x15,5000x3,200x22 --record sent.jsonl

It runs as a process of its own, so that it takes no CPU time from the processes under test. It prepares all bodies,
prints `ready`, then sends batches of ten in signed SendMessageBatch calls over one connection. The last rate of the
profile continues until everything is sent. The same seed and start give the same history in another process, which
therefore knows the expected rows (`bucket.py`). `send_log.py` records which messages the queue accepted, and when.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

import msgspec

from testkit.sqs.raw_client import RawClient
from testkit.workload.bucket import START, SimulatedBucket
from testkit.workload.random_walk import seeded_buckets
from testkit.workload.send_log import Sent, sent_event
from testkit.workload.shuffle import DUPLICATE_SHARE, WorkloadMessage, shuffled_messages

BATCH_MESSAGES: Final = 10
"""The maximum of SendMessageBatch."""
SEED: Final = 1
START_SECOND: Final = int(START.timestamp())
_TICK_SECONDS = 0.02
_SEND_ATTEMPTS = 3
_EVENTS_PER_KEY = 3


class LoadError(Exception):
    """The queue rejected messages permanently."""


class Phase(msgspec.Struct, frozen=True):
    """A rate and its duration."""

    messages_per_second: float
    seconds: float


class LoadPlan(msgspec.Struct, frozen=True):
    """All parameters of a load; two processes with the same plan generate the same history."""

    profile: tuple[Phase, ...]
    seed: int = SEED
    start_second: int = START_SECOND
    """Unix second at which the history of the buckets begins."""

    @property
    def events(self) -> int:
        """How many events the buckets emit, so that events and duplicates together fill the profile."""
        messages = sum(phase.messages_per_second * phase.seconds for phase in self.profile)
        return int(messages / (1 + DUPLICATE_SHARE))

    def buckets(self) -> tuple[SimulatedBucket, ...]:
        """The buckets after their whole history, as the oracle."""
        start = datetime.fromtimestamp(self.start_second, UTC)
        keys = max(1, self.events // _EVENTS_PER_KEY)
        return seeded_buckets(self.seed, events=self.events, keys=keys, start=start)

    def messages(self) -> list[WorkloadMessage]:
        """All messages, in the order of sending."""
        return shuffled_messages(self.buckets(), random.Random(self.seed))


def due_messages(profile: Sequence[Phase], elapsed_seconds: float) -> float:
    """How many messages are due after this number of seconds; the last rate never ends."""
    due, left = 0.0, elapsed_seconds
    for phase in profile[:-1]:
        due += phase.messages_per_second * min(left, phase.seconds)
        left = max(0.0, left - phase.seconds)
    return due + profile[-1].messages_per_second * left


def read_profile(text: str) -> tuple[Phase, ...]:
    """Parse a profile such as `200x15,5000x3`: messages per second × seconds."""
    pairs = [part.split("x") for part in text.split(",")]
    return tuple(Phase(float(rate), float(seconds)) for rate, seconds in pairs)


def send_all(
    client: RawClient, queue_url: str, plan: LoadPlan, messages: Sequence[WorkloadMessage], record: IO[bytes]
) -> None:
    """Send `messages` at the rates of the plan's profile, and record each one when the queue accepts it.

    Raises:
        LoadError: the queue keeps rejecting a message.
    """
    encoder = msgspec.json.Encoder()
    started, sent = time.monotonic(), 0
    while sent < len(messages):
        due = min(len(messages), int(due_messages(plan.profile, time.monotonic() - started)))
        while sent < due:
            together = messages[sent : min(due, sent + BATCH_MESSAGES)]
            accepted = send_together(client, queue_url, together)
            record.write(encoder.encode_lines(accepted))
            sent += len(together)
        record.flush()
        time.sleep(_TICK_SECONDS)


def send_together(client: RawClient, queue_url: str, messages: Sequence[WorkloadMessage]) -> list[Sent]:
    """Send one batch, and retry its failed entries.

    Raises:
        LoadError: entries still fail after three attempts.
    """
    accepted: list[Sent] = []
    missing = dict(enumerate(messages))
    failed: list[object] = []
    for _ in range(_SEND_ATTEMPTS):
        entries = [{"Id": str(number), "MessageBody": message.body} for number, message in missing.items()]
        sent_at = time.time()
        answer = client.call("SendMessageBatch", QueueUrl=queue_url, Entries=entries)
        accepted.extend(
            _sent(success["MessageId"], sent_at, missing.pop(int(success["Id"])))
            for success in answer.get("Successful", ())
        )
        if not missing:
            return accepted
        failed = answer.get("Failed", [])
    raise LoadError(f"the queue rejects {len(missing)} messages: {failed}")


def _sent(message_id: str, sent_at: float, telling: WorkloadMessage) -> Sent:
    if telling.emission is None:
        return Sent(message_id, sent_at, is_undecodable=telling.is_undecodable)
    return sent_event(message_id, sent_at, telling.emission)


def main() -> None:
    """Prepare the messages, print `ready`, and send them."""
    parser = argparse.ArgumentParser(prog="python -m testkit.workload.load", description=__doc__)
    parser.add_argument("--queue-url", required=True)
    parser.add_argument("--profile", type=read_profile, required=True, help="rate x seconds, e.g. 200x15,5000x3")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--start-second", type=int, default=START_SECOND)
    parser.add_argument("--record", type=Path, required=True, help="where to write what was sent")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    plan = LoadPlan(options.profile, options.seed, options.start_second)
    messages = plan.messages()
    address = urlsplit(options.queue_url)
    with RawClient(f"{address.scheme}://{address.netloc}") as client, options.record.open("wb") as record:
        print("ready", flush=True)
        send_all(client, options.queue_url, plan, messages, record)


if __name__ == "__main__":
    main()
