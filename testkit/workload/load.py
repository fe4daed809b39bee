"""The load: the seeded life of three buckets, sent to a queue at a given rate.

    python -m testkit.workload.load --queue-url URL --profile 200x15,5000x3,200x22 --record sent.jsonl

A process of its own, so that it takes no time from what it measures. It prepares all bodies, says `ready` on
standard output, then sends tens in signed SendMessageBatch calls over one connection. The last rate of the profile
goes on until everything is sent. The same seed and start give the same history in another process, which so
knows the truth (`bucket.py`); what was accepted by the queue, and when, stands in the record (`send_log.py`).
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
from testkit.workload.shuffle import DUPLICATED, Telling, tellings

BATCH_MESSAGES: Final = 10
"""The most that SendMessageBatch takes."""
SEED: Final = 1
START_SECOND: Final = int(START.timestamp())
_TICK_SECONDS = 0.02
_SEND_ATTEMPTS = 3
_EVENTS_PER_KEY = 3


class LoadError(Exception):
    """The queue refused messages for good."""


class Phase(msgspec.Struct, frozen=True):
    """A rate, and how long it is kept."""

    messages_per_second: float
    seconds: float


class LoadPlan(msgspec.Struct, frozen=True):
    """Everything that makes a load what it is; two processes with the same plan know the same history."""

    profile: tuple[Phase, ...]
    seed: int = SEED
    start_second: int = START_SECOND
    """Unix second at which the history of the buckets begins."""

    @property
    def events(self) -> int:
        """How many events the buckets have to tell, so that with duplicates the profile is filled."""
        messages = sum(phase.messages_per_second * phase.seconds for phase in self.profile)
        return int(messages / (1 + DUPLICATED))

    def buckets(self) -> tuple[SimulatedBucket, ...]:
        """The buckets after their whole history: the truth."""
        start = datetime.fromtimestamp(self.start_second, UTC)
        keys = max(1, self.events // _EVENTS_PER_KEY)
        return seeded_buckets(self.seed, events=self.events, keys=keys, start=start)

    def messages(self) -> list[Telling]:
        """What is sent, in the order of sending."""
        return tellings(self.buckets(), random.Random(self.seed))


def due_messages(profile: Sequence[Phase], elapsed_seconds: float) -> float:
    """How many messages the profile asks for in so many seconds; its last rate never ends."""
    due, left = 0.0, elapsed_seconds
    for phase in profile[:-1]:
        due += phase.messages_per_second * min(left, phase.seconds)
        left = max(0.0, left - phase.seconds)
    return due + profile[-1].messages_per_second * left


def read_profile(text: str) -> tuple[Phase, ...]:
    """`200x15,5000x3`: messages a second, times seconds."""
    pairs = [part.split("x") for part in text.split(",")]
    return tuple(Phase(float(rate), float(seconds)) for rate, seconds in pairs)


def send_all(client: RawClient, queue_url: str, plan: LoadPlan, messages: Sequence[Telling], record: IO[bytes]) -> None:
    """Sends `messages` as the plan's profile asks for them, and records them as they are accepted.

    Raises:
        LoadError: the queue goes on refusing a message.
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


def send_together(client: RawClient, queue_url: str, messages: Sequence[Telling]) -> list[Sent]:
    """One batch call, and more for what the queue refused in it.

    Raises:
        LoadError: after three attempts something is still refused.
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
    raise LoadError(f"the queue refuses {len(missing)} messages: {failed}")


def _sent(message_id: str, sent_at: float, telling: Telling) -> Sent:
    if telling.emission is None:
        return Sent(message_id, sent_at, is_undecodable=telling.is_undecodable)
    return sent_event(message_id, sent_at, telling.emission)


def main() -> None:
    """Prepares, says `ready`, sends, ends."""
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
