"""Room five: receipts in, the queue told.

What is stored or quarantined is deleted, ten at a time. What failed is hidden for a time that grows with each
receive, so that it neither spins nor is forgotten. What is returned is made visible at once. Of what is lost the
queue is told nothing: it is no longer ours. A 200 with failures inside is a failure of those entries:
they are tried again, and everything is counted from what the queue says was done, not from what was asked.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

import msgspec
from tenacity import AsyncRetrying, retry_if_result, stop_after_attempt, wait_random_exponential

from subscriber.errors import QueueCallError
from subscriber.flow.channel import Channel
from subscriber.flow.visibility_extension import GONE_CODES
from subscriber.model import BatchAnswer, Message, Receipt, Verdict
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics, queue_name

ENTRIES_AT_MOST = 10
"""Entries of one DeleteMessageBatch or ChangeMessageVisibilityBatch (SQS API reference)."""

ATTEMPTS_AT_MOST = 5
RETRY_WAIT_FIRST_SECONDS = 0.1
RETRY_WAIT_AT_MOST_SECONDS = 5.0
"""Full jitter up to doubling bounds: four waits, 1.5 s at most in all, long before any visibility ends."""

RETRY_DELAY_FIRST_SECONDS = 10
RETRY_DELAY_MAX_SECONDS = 900

Action: TypeAlias = Literal["delete", "delay", "release"]
Call: TypeAlias = Callable[[str, Sequence[Message]], Awaitable[BatchAnswer]]
"""Asks one thing of one queue, for ten messages at most."""

_log = get_logger()


class Queues(Protocol):
    """The queue's side of settling. Both calls take ten entries at most and raise QueueCallError."""

    async def delete(self, queue: str, handles: Sequence[str]) -> BatchAnswer:
        """Delete messages."""
        ...

    async def change_visibility(self, queue: str, entries: Sequence[tuple[str, int]]) -> BatchAnswer:
        """Hide each handle for so many seconds from now; 0 makes it visible at once."""
        ...


class Book(Protocol):
    """Who is told that messages have left the process."""

    def settle(self, messages: Iterable[Message]) -> None:
        """These are gone."""
        ...


class AcknowledgeOptions(msgspec.Struct, frozen=True):
    """How many calls may be under way."""

    calls_at_most: int


def retry_delay_seconds(receive_count: int, chance: float) -> int:
    """How long a message that failed stays hidden: 10 s doubling with every receive, to 15 minutes, then jitter.

    Args:
        receive_count: how often it was received; from a queue that does not count it may be 0.
        chance: 0 … 1; takes away up to a fifth, so that what failed together does not come back together.
    """
    doubled = RETRY_DELAY_FIRST_SECONDS * (1 << min(max(receive_count, 1) - 1, 10))
    return max(1, round(min(RETRY_DELAY_MAX_SECONDS, doubled) * (1 - chance / 5)))


ACTIONS: Mapping[Verdict, Action | None] = {
    "stored": "delete",
    "quarantined": "delete",
    "retry_later": "delay",
    "released": "release",
    "expired": None,
}
"""What the queue is told: only what is committed may be deleted."""


def calls_for(receipts: Iterable[Receipt]) -> Iterator[tuple[str, Action, list[Message]]]:
    """(queue, action, up to ten messages) for each call to make, in the order the receipts came."""
    groups: dict[tuple[str, Action], list[Message]] = {}
    for receipt in receipts:
        action = ACTIONS[receipt.verdict]
        if action is not None:
            groups.setdefault((receipt.message.queue, action), []).append(receipt.message)
    for (queue, action), messages in groups.items():
        for start in range(0, len(messages), ENTRIES_AT_MOST):
            yield queue, action, messages[start : start + ENTRIES_AT_MOST]


def left_to_do(action: Action, messages: Sequence[Message], answer: BatchAnswer) -> list[Message]:
    """Those of `messages` to ask for once more: named as failed, or not named at all.

    A message that was to become visible at once or later, and whose handle is over, is in other hands already.
    """
    over = {position for position, code in answer.failed if code in GONE_CODES} if action != "delete" else set()
    finished = over.union(answer.done)
    return [message for position, message in enumerate(messages) if position not in finished]


class Counters:
    """What is counted of one kind of call to one queue; looked up once, for a look-up costs as much as the counting."""

    def __init__(self, metrics: Metrics, queue: str, action: Action) -> None:
        label = queue_name(queue)
        done = {
            "delete": metrics.acknowledged_messages,
            "delay": metrics.retry_delayed_messages,
            "release": metrics.released_messages,
        }
        self.done = done[action].labels(label)
        self.requests = metrics.settle_requests.labels(label, action)
        self.unsettled = metrics.unsettled_messages.labels(label)


class Acknowledger:
    """The room. Calls run side by side, as many as the options allow."""

    def __init__(
        self,
        options: AcknowledgeOptions,
        inbox: Channel[tuple[Receipt, ...]],
        queues: Queues,
        book: Book,
        metrics: Metrics,
    ) -> None:
        self._inbox = inbox
        self._queues = queues
        self._book = book
        self._metrics = metrics
        self._places = asyncio.Semaphore(options.calls_at_most)
        self._counters: dict[tuple[str, Action], Counters] = {}
        self._calls: dict[Action, Call] = {"delete": self._delete, "delay": self._hide, "release": self._release}

    async def run(self) -> None:
        """Settle until the inbox has ended and every call has been answered."""
        async with asyncio.TaskGroup() as calls:
            async for receipts in self._inbox:
                self._book.settle(receipt.message for receipt in receipts if ACTIONS[receipt.verdict] is None)
                for queue, action, messages in calls_for(receipts):
                    await self._places.acquire()
                    calls.create_task(self._settle(queue, action, messages), name=action)

    async def _settle(self, queue: str, action: Action, messages: list[Message]) -> None:
        try:
            left = await self._left_after(queue, action, messages)
            if left:
                left = await self._left_after_retries(queue, action, left)
        finally:
            self._places.release()
        self._counters_of(queue, action).unsettled.inc(len(left))
        self._book.settle(messages)

    def _counters_of(self, queue: str, action: Action) -> Counters:
        found = self._counters.get((queue, action))
        if found is None:
            found = self._counters[queue, action] = Counters(self._metrics, queue, action)
        return found

    async def _delete(self, queue: str, messages: Sequence[Message]) -> BatchAnswer:
        return await self._queues.delete(queue, [message.receipt_handle for message in messages])

    async def _hide(self, queue: str, messages: Sequence[Message]) -> BatchAnswer:
        entries = [
            (message.receipt_handle, retry_delay_seconds(message.receive_count, random.random()))  # noqa: S311 – jitter
            for message in messages
        ]
        return await self._queues.change_visibility(queue, entries)

    async def _release(self, queue: str, messages: Sequence[Message]) -> BatchAnswer:
        return await self._queues.change_visibility(queue, [(message.receipt_handle, 0) for message in messages])

    async def _left_after_retries(self, queue: str, action: Action, left: list[Message]) -> list[Message]:
        async def try_again() -> list[Message]:
            nonlocal left
            left = await self._left_after(queue, action, left)
            return left

        retrying = AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS_AT_MOST - 1),
            wait=wait_random_exponential(multiplier=2 * RETRY_WAIT_FIRST_SECONDS, max=RETRY_WAIT_AT_MOST_SECONDS),
            retry=retry_if_result(bool),
            retry_error_callback=lambda _: left,
        )
        await asyncio.sleep(random.uniform(0, RETRY_WAIT_FIRST_SECONDS))  # noqa: S311 – jitter
        await retrying(try_again)
        if left:
            _log.warning("messages.unsettled", action=action, messages=len(left))
        return left

    async def _left_after(self, queue: str, action: Action, messages: list[Message]) -> list[Message]:
        """One call: those of `messages` that are not done after it, which is all of them if it failed."""
        counters = self._counters_of(queue, action)
        counters.requests.inc()
        try:
            answer = await self._calls[action](queue, messages)
        except QueueCallError as error:
            self._metrics.queue_errors.labels(action, error.code).inc()
            return messages
        for _, code in answer.failed:
            self._metrics.queue_errors.labels(action, code).inc()
        counters.done.inc(len(set(answer.done)))
        return left_to_do(action, messages, answer)
