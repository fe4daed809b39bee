"""Stage 5: acknowledge. Receives receipts and makes the queue calls that they ask for.

Stored and quarantined messages are deleted, ten at a time. A message to retry later stays invisible for a delay that
grows with each receive, so that it neither loops nor is forgotten. A released message becomes visible at once. No call
is made for an expired message, because it is no longer ours. An HTTP 200 may report failed entries: these are retried,
and every metric counts what SQS reports as done, not what was requested.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec
from tenacity import AsyncRetrying, retry_if_result, stop_after_attempt

from subscriber.errors import AwsErrorKind, QueueCallError, aws_error_kind
from subscriber.flow.backoff import Backoff, delay_as_asked
from subscriber.flow.channel import Channel
from subscriber.flow.leases import VisibilityLeases
from subscriber.model import ENTRIES_PER_CALL, BatchAnswer, Message, Receipt, Verdict
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics
from subscriber.ports import QueueClient

CALL_ATTEMPTS_AT_MOST = 5
RETRY_BACKOFF = Backoff(first_seconds=0.1, max_seconds=5.0, jitter=1)
"""Between attempts of a call: four delays, 1.5 s at most in all, unless the queue asks for more."""

RETRY_DELAY = Backoff(first_seconds=10, max_seconds=900, jitter=0.2)
"""How long a failed message stays invisible, by its receives."""

Action: TypeAlias = Literal["delete", "delay", "release"]
Call: TypeAlias = Callable[[str, Sequence[Message]], Awaitable[BatchAnswer]]
"""One call to one queue, for ENTRIES_PER_CALL messages at most."""

_log = get_logger()


class AcknowledgeOptions(msgspec.Struct, frozen=True):
    """How many calls may be under way."""

    calls_at_most: int


def retry_delay_seconds(receive_count: int, chance: float | None = None) -> int:
    """Whole seconds for which a failed message stays invisible.

    Args:
        receive_count: its receives so far; a queue that does not count them reports 0.
        chance: as for `Backoff.delay_seconds`.
    """
    return round(RETRY_DELAY.delay_seconds(receive_count, chance))


ACTIONS: Mapping[Verdict, Action | None] = {
    "stored": "delete",
    "quarantined": "delete",
    "retry_later": "delay",
    "released": "release",
    "expired": None,
}
"""The call for each verdict: only committed messages may be deleted."""


def calls_for(receipts: Iterable[Receipt]) -> Iterator[tuple[str, Action, list[Message]]]:
    """(queue, action, up to ENTRIES_PER_CALL messages) for each call to make, in the order of the receipts."""
    groups: dict[tuple[str, Action], list[Message]] = {}
    for receipt in receipts:
        action = ACTIONS[receipt.verdict]
        if action is not None:
            groups.setdefault((receipt.message.queue, action), []).append(receipt.message)
    for (queue, action), messages in groups.items():
        for start in range(0, len(messages), ENTRIES_PER_CALL):
            yield queue, action, messages[start : start + ENTRIES_PER_CALL]


def left_to_do(action: Action, messages: Sequence[Message], answer: BatchAnswer) -> list[Message]:
    """Those of `messages` to retry: reported as failed, or not reported at all.

    For a delay or release, a gone handle counts as done: the message is already visible or with another consumer.
    """
    finished = set(answer.done)
    if len(finished) == len(messages):
        return []
    if action != "delete":
        finished.update(
            position for position, code in answer.failed if aws_error_kind(code) is AwsErrorKind.GONE_HANDLE
        )
    return [message for position, message in enumerate(messages) if position not in finished]


class Counters:
    """The metrics of one action on one queue, looked up once: a lookup costs as much as an increment."""

    def __init__(self, metrics: Metrics, queue: str, action: Action) -> None:
        label = metrics.queue_name(queue)
        done = {
            "delete": metrics.acknowledged_messages,
            "delay": metrics.retry_delayed_messages,
            "release": metrics.released_messages,
        }
        self.done = done[action].labels(label)
        self.requests = metrics.settle_requests.labels(label, action)
        self.unsettled = metrics.unsettled_messages.labels(label)


class Acknowledger:
    """The stage. Calls run concurrently, as many as the options allow."""

    def __init__(
        self,
        options: AcknowledgeOptions,
        inbox: Channel[tuple[Receipt, ...]],
        queues: QueueClient,
        leases: VisibilityLeases,
        metrics: Metrics,
    ) -> None:
        self._inbox = inbox
        self._queues = queues
        self._leases = leases
        self._metrics = metrics
        self._slots = asyncio.Semaphore(options.calls_at_most)
        self._counters: dict[tuple[str, Action], Counters] = {}
        self._calls: dict[Action, Call] = {"delete": self._delete, "delay": self._delay, "release": self._release}

    async def run(self) -> None:
        """Settle messages until the inbox has ended and every call has been answered."""
        async with asyncio.TaskGroup() as calls:
            async for receipts in self._inbox:
                self._leases.settle(receipt.message for receipt in receipts if ACTIONS[receipt.verdict] is None)
                for queue, action, messages in calls_for(receipts):
                    await self._slots.acquire()
                    calls.create_task(self._settle(queue, action, messages), name=action)

    async def _settle(self, queue: str, action: Action, messages: list[Message]) -> None:
        try:
            left, asked_seconds = await self._left_after(queue, action, messages)
            if left:
                left = await self._left_after_retries(queue, action, left, asked_seconds)
        finally:
            self._slots.release()
        self._counters_of(queue, action).unsettled.inc(len(left))
        self._leases.settle(messages)

    def _counters_of(self, queue: str, action: Action) -> Counters:
        found = self._counters.get((queue, action))
        if found is None:
            found = self._counters[queue, action] = Counters(self._metrics, queue, action)
        return found

    async def _delete(self, queue: str, messages: Sequence[Message]) -> BatchAnswer:
        return await self._queues.delete(queue, [message.receipt_handle for message in messages])

    async def _delay(self, queue: str, messages: Sequence[Message]) -> BatchAnswer:
        entries = [(message.receipt_handle, retry_delay_seconds(message.receive_count)) for message in messages]
        return await self._queues.change_visibility(queue, entries)

    async def _release(self, queue: str, messages: Sequence[Message]) -> BatchAnswer:
        return await self._queues.release(queue, [message.receipt_handle for message in messages])

    async def _left_after_retries(
        self, queue: str, action: Action, left: list[Message], asked_seconds: float
    ) -> list[Message]:
        async def try_again() -> list[Message]:
            nonlocal left, asked_seconds
            left, asked_seconds = await self._left_after(queue, action, left)
            return left

        def delay_seconds(failures: int) -> float:
            return delay_as_asked(RETRY_BACKOFF.delay_seconds(failures), asked_seconds)

        retrying = AsyncRetrying(
            stop=stop_after_attempt(CALL_ATTEMPTS_AT_MOST - 1),
            wait=lambda state: delay_seconds(1 + state.attempt_number),
            retry=retry_if_result(bool),
            retry_error_callback=lambda _: left,
        )
        await asyncio.sleep(delay_seconds(1))
        await retrying(try_again)
        if left:
            _log.warning("messages.unsettled", action=action, messages=len(left))
        return left

    async def _left_after(self, queue: str, action: Action, messages: list[Message]) -> tuple[list[Message], float]:
        """Make one call.

        Returns:
            Those of `messages` that are not done after it, all of them if it failed; and how many seconds the queue
            asks to wait before the next call.
        """
        counters = self._counters_of(queue, action)
        counters.requests.inc()
        try:
            answer = await self._calls[action](queue, messages)
        except QueueCallError as error:
            self._metrics.queue_errors.labels(action, error.code).inc()
            return messages, error.retry_after_seconds
        for _, code in answer.failed:
            self._metrics.queue_errors.labels(action, code).inc()
        counters.done.inc(len(set(answer.done)))
        return left_to_do(action, messages, answer), 0.0
