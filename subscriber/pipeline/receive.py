"""Room one: asks the queues for messages whenever there is room downstream, and hands what came to decode.

Every queue has one long poll when idle. A full answer says that more is waiting: one more poll joins, so that
the number doubles with every round trip, up to the maximum. An empty or nearly empty answer sends its poll
home, unless it is the last. A poll begins only under a lease, which is where back-pressure is felt: no lease,
no poll.

After `stop` no poll begins. An open one is never cancelled, since its answer would be lost and its messages
hidden for the whole visibility; what it brings is handed back unread, while the line drains beside it.

What the receive room knows of each queue, and how it decides: how many polls, and how long a pause. Pure.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from subscriber.errors import QueueCallError
from subscriber.flow.channel import Channel
from subscriber.flow.leases import POLL_MESSAGES, LeasesShutError
from subscriber.model import Delivery, Lease, Message
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics, queue_name
from subscriber.signals import Arrivals

NEARLY_EMPTY_MESSAGES = 3
"""An answer of so many or fewer says that there are too many polls; SQS samples its hosts, so five may be normal."""

FAILURE_PAUSE_FIRST_SECONDS = 0.2
FAILURE_PAUSE_AT_MOST_SECONDS = 20.0

FAILURES_THAT_TELL = 6
"""So many failures in a row, about six seconds with their pauses, and the queue counts as not answering."""


def polls_wanted(running: int, answered: int, at_most: int) -> int:
    """How many polls a queue should have after one of `running` brought `answered` messages."""
    if answered >= POLL_MESSAGES:
        return min(running + 1, at_most)
    if answered <= NEARLY_EMPTY_MESSAGES:
        return max(running - 1, 1)
    return running


def backoff_after_failures(failures: int, chance: float) -> float:
    """Seconds before the next try after so many failures in a row (from 1): full jitter under a doubling bound."""
    bound = min(FAILURE_PAUSE_AT_MOST_SECONDS, FAILURE_PAUSE_FIRST_SECONDS * (1 << min(failures - 1, 20)))
    return bound * chance


class QueuePollState:
    """What receive knows of one queue; changed by its polls only."""

    def __init__(self, url: str, metrics: Metrics) -> None:
        self.url = url
        self.label = queue_name(url)
        self.running = 0
        self.wanted = 1
        self.failures = 0
        self.arrivals = Arrivals()
        # Looked up once: a label's look-up costs as much as reading a message.
        self.received = metrics.received_messages.labels(self.label)
        requests = metrics.receive_requests
        self.answers = {answer: requests.labels(self.label, answer) for answer in ("full", "part", "empty")}

    @property
    def failures_in_a_row(self) -> int:
        """How often in a row receiving has failed: polls that fail together have failed once."""
        return -(-self.failures // max(1, self.running))


PART_FULL_PAUSE_SECONDS = 0.05
"""After an answer that was not full the queue is nearly drained: waiting this long makes the next one fuller."""

_log = get_logger()


class Source(Protocol):
    """Where messages come from, and go back to."""

    async def receive(self, lease: Lease) -> list[Message]:
        """Up to ten messages of `lease.queue`, after a long poll; raises QueueCallError."""
        ...

    async def release(self, queue: str, handles: Sequence[str]) -> int:
        """Make them visible at once; how many the queue says are."""
        ...


class Leases(Protocol):
    """Permission to poll."""

    async def open(self, queue: str) -> Lease:
        """A lease, when there is room; raises LeasesShutError."""
        ...

    def fill(self, lease: Lease, messages: Sequence[Message]) -> None:
        """What the poll brought."""
        ...

    def abandon(self, lease: Lease) -> None:
        """The poll failed."""
        ...

    def settle(self, messages: Iterable[Message]) -> None:
        """Handed back."""
        ...

    def shut(self) -> None:
        """No more polls."""
        ...


class ReceiveOptions(msgspec.Struct, frozen=True):
    """Which queues, and how many polls each may have."""

    queues: tuple[str, ...]
    polls_at_most: int
    """For all queues together; each has at least one."""


class Receiver:
    """The room: a task for every poll, all in one group."""

    def __init__(
        self,
        options: ReceiveOptions,
        source: Source,
        decode: Callable[[Message], Delivery],
        leases: Leases,
        outbox: Channel[tuple[Delivery, ...]],
        *,
        metrics: Metrics,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._decode = decode
        self._leases = leases
        self._outbox = outbox
        self._metrics = metrics
        self._wall_clock = wall_clock
        self._intakes = [QueuePollState(url, metrics) for url in options.queues]
        self._polls_at_most = max(1, options.polls_at_most // len(options.queues))
        self._stopping = asyncio.Event()
        self._handing_over = 0
        self._handed_over = asyncio.Event()
        self._handed_over.set()

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    @property
    def is_receiving(self) -> bool:
        """Whether every queue answers, give or take a few failures in a row."""
        return all(intake.failures_in_a_row < FAILURES_THAT_TELL for intake in self._intakes)

    @property
    def arrivals(self) -> Mapping[str, Arrivals]:
        """What each queue has brought lately, by its URL."""
        return {intake.url: intake.arrivals for intake in self._intakes}

    def stop(self) -> None:
        """Begin no more polls."""
        self._stopping.set()
        self._leases.shut()

    async def run(self) -> None:
        """Receive until stopped. The outbox closes when nothing more will be sent; open polls may last longer."""
        async with asyncio.TaskGroup() as polls:
            for intake in self._intakes:
                self._start_poll(polls, intake)
            await self._stopping.wait()
            await self._handed_over.wait()
            self._outbox.close()

    def _start_poll(self, polls: asyncio.TaskGroup, intake: QueuePollState) -> None:
        intake.running += 1
        self._metrics.polls.labels(intake.label).set(intake.running)
        polls.create_task(self._poll_while_wanted(polls, intake), name=f"poll {intake.label}")

    async def _poll_while_wanted(self, polls: asyncio.TaskGroup, intake: QueuePollState) -> None:
        try:
            while not self.is_stopping and intake.running <= intake.wanted:
                await self._poll(intake)
                if intake.running < intake.wanted and not self.is_stopping:
                    self._start_poll(polls, intake)
        except LeasesShutError:
            pass
        finally:
            intake.running -= 1
            self._metrics.polls.labels(intake.label).set(intake.running)

    async def _poll(self, intake: QueuePollState) -> None:
        """One poll under one lease; its answer says how many polls are wanted from now on."""
        lease = await self._leases.open(intake.url)
        try:
            messages = await self._source.receive(lease)
        except QueueCallError as error:
            self._leases.abandon(lease)
            await self._failed(intake, error)
            return
        if intake.failures_in_a_row >= FAILURES_THAT_TELL:
            _log.info("receive.recovered", queue=intake.label)
        intake.failures = 0
        self._leases.fill(lease, messages)
        self._count(intake, lease, messages)
        if messages and self.is_stopping:
            await self._release(intake, messages)
        elif messages:
            await self._hand_over(messages)
        if len(messages) < POLL_MESSAGES:
            await self._pause(PART_FULL_PAUSE_SECONDS)
        intake.wanted = polls_wanted(intake.running, len(messages), self._polls_at_most)

    async def _hand_over(self, messages: list[Message]) -> None:
        self._handing_over += 1
        self._handed_over.clear()
        try:
            await self._outbox.send(tuple(self._decoded(message) for message in messages))
        finally:
            self._handing_over -= 1
            if not self._handing_over:
                self._handed_over.set()

    def _decoded(self, message: Message) -> Delivery:
        delivery = self._decode(message)
        for name in delivery.ignored:
            self._metrics.ignored_events.labels(name).inc()
        if delivery.derived_sequencers:
            self._metrics.derived_sequencers.inc(delivery.derived_sequencers)
        return delivery

    async def _release(self, intake: QueuePollState, messages: list[Message]) -> None:
        try:
            done = await self._source.release(intake.url, [message.receipt_handle for message in messages])
        except QueueCallError as error:
            _log.warning("messages.not_released", queue=intake.label, messages=len(messages), reason=error.code)
            return  # they stay in the leases: the end of the process tries once more
        self._metrics.released_messages.labels(intake.label).inc(done)
        if done == len(messages):
            self._leases.settle(messages)
        else:
            _log.warning("messages.not_released", queue=intake.label, messages=len(messages) - done)

    async def _failed(self, intake: QueuePollState, error: QueueCallError) -> None:
        intake.failures += 1
        intake.arrivals.forget_silence()
        self._metrics.receive_requests.labels(intake.label, "failed").inc()
        self._metrics.queue_errors.labels("receive", error.code).inc()
        if intake.failures & (intake.failures - 1) == 0:  # the 1st, 2nd, 4th, 8th …: a long outage is few lines
            _log.warning("receive.failed", queue=intake.label, reason=error.code, detail=error.detail)
        await self._pause(backoff_after_failures(intake.failures_in_a_row, random.random()))  # noqa: S311 – jitter, not a secret

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than until `stop`."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _count(self, intake: QueuePollState, lease: Lease, messages: list[Message]) -> None:
        answer = "full" if len(messages) >= POLL_MESSAGES else "part" if messages else "empty"
        intake.answers[answer].inc()
        intake.received.inc(len(messages))
        first = [message.sent_at for message in messages if message.receive_count == 1]
        youngest_seconds = None
        if first:
            now = self._wall_clock()
            lease.oldest_sent_at = min(first)
            youngest_seconds = max(0.0, now - max(first))
            self._metrics.receive_age_seconds.observe(max(0.0, now - lease.oldest_sent_at))
        intake.arrivals.answered(len(messages), youngest_seconds, asyncio.get_running_loop().time())
