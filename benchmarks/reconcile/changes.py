"""Live traffic: objects of a changing bucket are put, deleted and removed, and each event goes to the queue at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from random import Random
from typing import Final

from benchmarks.reconcile.parts import BUCKET, Parts
from testkit.environment import REGION
from testkit.process import ProcessError
from testkit.s3.changing import ObjectChange, ObjectChanged
from testkit.s3.generated import GeneratedBucket, GeneratedPlan
from testkit.sqs.raw_client import RawClient
from testkit.workload.bucket import Emission
from testkit.workload.load import BATCH_MESSAGES
from testkit.workload.notifications import native_body

KEYS: Final = 20_000
"""So that at 500 changes a second a key stays as it is for 40 s: longer than the grace, so that it is judged."""
NEW: Final = "+new"
"""Follows a key of the bucket in the key of an object that comes into being."""
_THREADS: Final = 4
_TICK_SECONDS: Final = 0.02
_PUTS: Final = 0.7
_DELETES: Final = 0.85
"""Up to here a random number makes a delete marker; beyond, it removes a version for good."""


class LiveKeys:
    """The keys that change: in some blocks, spread over the whole bucket, the first half of the keys.

    Every second one is a key of the bucket, with the versions that it has; the others are new.
    """

    def __init__(self, plan: GeneratedPlan) -> None:
        self._bucket = GeneratedBucket(plan)
        blocks = self._bucket.blocks
        wanted = min(blocks, max(1, KEYS // (plan.keys_per_block // 2)))
        self.blocks: Final = frozenset(number * blocks // wanted for number in range(wanted))

    def has(self, number: int) -> bool:
        """Whether a key of the bucket, by its number, changes."""
        plan = self._bucket.plan
        block, place = divmod(number, plan.keys_per_block)
        return block in self.blocks and place < plan.keys_per_block // 2 and place % 2 == 1

    def stacks(self) -> dict[str, list[str]]:
        """The version ids of each key that changes, the newest last."""
        plan, found = self._bucket.plan, dict[str, list[str]]()
        for block in sorted(self.blocks):
            first = block * plan.keys_per_block
            for number in range(first, min(first + plan.keys_per_block // 2, plan.keys)):
                stack = self._bucket.stack(number)
                key = stack[0].key.decode()
                if self.has(number):
                    found[key] = [entry.version_id for entry in reversed(stack)]
                else:
                    found[key + NEW] = []
        return found


class LiveChanges:
    """Threads that change their own keys each, at a rate together; made by `live_changes`.

    Args:
        parts: the servers.
        rate: changes a second.
        seed: of the round.
        stacks: of the keys, as LiveKeys gives them; they are kept up to date.
    """

    def __init__(self, parts: Parts, rate: float, seed: int, stacks: dict[str, list[str]]) -> None:
        self._parts, self._rate, self._seed = parts, rate, seed
        self._stacks = stacks
        self._stop = threading.Event()
        self._errors: list[Exception] = []
        self._sent = [0] * _THREADS
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(_THREADS)]
        self._began = time.monotonic()

    @property
    def sent(self) -> int:
        """Events that the queue has accepted."""
        return sum(self._sent)

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End.

        Raises:
            ProcessError: a change or an event failed.
        """
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise ProcessError(f"the live traffic failed: {self._errors[0]!r}")

    def _run(self, number: int) -> None:
        try:
            with RawClient(self._parts.environment.server.endpoint_url, region=REGION) as queue:
                self._change(number, queue)
        except Exception as error:  # noqa: BLE001 - told by stop
            self._errors.append(error)

    def _change(self, number: int, queue: RawClient) -> None:
        mine = list(self._stacks)[number::_THREADS]
        changes = _Changes(Random(f"{self._seed}/{number}"), {key: self._stacks[key] for key in mine})
        while not self._stop.wait(_TICK_SECONDS):
            due = int((time.monotonic() - self._began) * self._rate / _THREADS) - self._sent[number]
            while due > 0 and not self._stop.is_set():
                asked = changes.choose(min(due, BATCH_MESSAGES))
                made = self._parts.server.change_objects(BUCKET, asked)
                bodies = changes.made(asked, made)
                entries = [{"Id": str(place), "MessageBody": body} for place, body in enumerate(bodies)]
                answer = queue.call("SendMessageBatch", QueueUrl=self._parts.queue_url, Entries=entries)
                if answer.get("Failed"):
                    raise ProcessError(f"the queue rejects events: {answer['Failed']}")
                self._sent[number] += len(bodies)
                due -= len(bodies)


class _Changes:
    """Random changes of some keys."""

    def __init__(self, random: Random, stacks: dict[str, list[str]]) -> None:
        self._random, self._stacks, self._keys = random, stacks, list(stacks)

    def choose(self, count: int) -> list[ObjectChange]:
        """So many changes, each of another key."""
        return [self._change_of(key) for key in self._random.sample(self._keys, min(count, len(self._keys)))]

    def _change_of(self, key: str) -> ObjectChange:
        versions, chance = self._stacks[key], self._random.random()
        if chance >= _DELETES and versions:
            return ObjectChange(key, version_id=self._random.choice(versions))
        if chance >= _PUTS and versions:
            return ObjectChange(key)
        return ObjectChange(key, self._random.randrange(1, 1 << 20))

    def made(self, asked: Sequence[ObjectChange], made: Sequence[ObjectChanged]) -> list[str]:
        """Take note of changes that were made; the bodies of the messages about them."""
        for change, done in zip(asked, made, strict=True):
            if change.version_id is None:
                self._stacks[change.key].append(done.version_id)
            else:
                self._stacks[change.key].remove(change.version_id)
        return [_body(change, done) for change, done in zip(asked, made, strict=True)]


def _body(change: ObjectChange, made: ObjectChanged) -> str:
    seconds, nanoseconds = divmod(made.unix_ns, 1_000_000_000)
    if change.size_bytes is not None:
        event_name = "ObjectCreated:Put"
    else:
        event_name = "ObjectRemoved:DeleteMarkerCreated" if change.version_id is None else "ObjectRemoved:Delete"
    return native_body(
        Emission(
            bucket=BUCKET,
            key=change.key,
            version_id=made.version_id,
            event_name=event_name,
            event_time=datetime.fromtimestamp(seconds, UTC),
            sequencer=f"00{seconds:08X}{nanoseconds:08X}",
            size_bytes=change.size_bytes,
            etag=made.etag or None,
        )
    )


@contextmanager
def live_changes(parts: Parts, rate: float, seed: int, stacks: dict[str, list[str]]) -> Iterator[LiveChanges]:
    """Change objects while the block runs.

    Raises:
        ProcessError: a change or an event failed.
    """
    changes = LiveChanges(parts, rate, seed, stacks)
    changes.start()
    try:
        yield changes
    finally:
        changes.stop()
