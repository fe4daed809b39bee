"""Stage 1: receive. Polls the queues while there is capacity, decodes what arrives and sends it on.

An idle queue has one long poll. A full answer means that more messages are waiting: one more poll starts, so that the
number doubles with every round trip, up to the maximum. An empty or nearly empty answer ends its poll, unless it is the
last one. A poll begins only under a lease, which is the back-pressure: no lease, no poll.

After `stop` no poll begins. An open poll is never cancelled, because its answer would be lost and its messages would
stay invisible for the whole visibility timeout; its messages are released unread while the pipeline drains.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import msgspec

from subscriber.errors import QueueCallError
from subscriber.flow.backoff import Backoff, delay_as_asked, is_power_of_two
from subscriber.flow.channel import Channel
from subscriber.flow.leases import LeasesClosedError, VisibilityLeases
from subscriber.flow.release import release
from subscriber.model import MESSAGES_PER_POLL, Delivery, Lease, Message
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics
from subscriber.pipeline.unknown_events import UnknownEvents
from subscriber.ports import QueueClient
from subscriber.signals import Arrivals, send_times_that_show_lag

NEARLY_EMPTY_MESSAGES = 3
"""An answer of so few messages means too many polls. SQS samples its hosts, so five messages may be normal."""

FAILURE_BACKOFF = Backoff(first_seconds=0.2, max_seconds=20.0, jitter=1)
"""Between failed polls."""

FAILURES_BEFORE_NOT_RECEIVING = 6
"""After so many failures in a row, about six seconds with their delays, the queue counts as not answering."""

PART_FULL_PAUSE_SECONDS = 0.05
"""After an answer that was not full the queue is nearly empty: this delay makes the next answer fuller."""

_log = get_logger()


def polls_wanted(running: int, answered: int, at_most: int) -> int:
    """How many polls a queue should have after one of `running` polls returned `answered` messages."""
    if answered >= MESSAGES_PER_POLL:
        return min(running + 1, at_most)
    if answered <= NEARLY_EMPTY_MESSAGES:
        return max(running - 1, 1)
    return running


class QueuePollState:
    """The polls of one queue and their recent answers; changed by its polls only."""

    def __init__(self, url: str, metrics: Metrics) -> None:
        self.url = url
        self.label = metrics.queue_name(url)
        self.running = 0
        self.wanted = 1
        self.failures = 0
        self.arrivals = Arrivals()
        # Looked up once: looking up a label costs as much as reading a message.
        self.received = metrics.received_messages.labels(self.label)
        requests = metrics.receive_requests
        self.answers = {answer: requests.labels(self.label, answer) for answer in ("full", "part", "empty")}

    @property
    def failures_in_a_row(self) -> int:
        """Consecutive failures: polls that fail together have failed once."""
        return -(-self.failures // max(1, self.running))


class ReceiveOptions(msgspec.Struct, frozen=True):
    """Which queues, and how many polls."""

    queues: tuple[str, ...]
    polls_at_most: int
    """For all queues together; each has at least one."""


class Receiver:
    """The stage: one task per poll, all in one group."""

    def __init__(
        self,
        options: ReceiveOptions,
        queues: QueueClient,
        decode: Callable[[Message], Delivery],
        leases: VisibilityLeases,
        outbox: Channel[tuple[Delivery, ...]],
        *,
        metrics: Metrics,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._queues = queues
        self._decode = decode
        self._leases = leases
        self._outbox = outbox
        self._metrics = metrics
        self._wall_clock = wall_clock
        self._states = [QueuePollState(url, metrics) for url in options.queues]
        self._polls_at_most = max(1, options.polls_at_most // len(options.queues))
        self._unknown_events = UnknownEvents()
        self._stopping = asyncio.Event()
        self._sends = 0
        self._nothing_to_send = asyncio.Event()
        self._nothing_to_send.set()

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    @property
    def queues_answer(self) -> bool:
        """Whether every queue answers, apart from a few failures in a row."""
        return all(state.failures_in_a_row < FAILURES_BEFORE_NOT_RECEIVING for state in self._states)

    @property
    def arrivals(self) -> Mapping[str, Arrivals]:
        """What each queue has returned lately, by its URL."""
        return {state.url: state.arrivals for state in self._states}

    def stop(self) -> None:
        """Begin no more polls."""
        self._stopping.set()
        self._leases.close()

    async def run(self) -> None:
        """Receive until stopped. The outbox closes after the last send; open polls may last longer."""
        async with asyncio.TaskGroup() as polls:
            for state in self._states:
                self._start_poll(polls, state)
            await self._stopping.wait()
            await self._nothing_to_send.wait()
            self._outbox.close()

    def _start_poll(self, polls: asyncio.TaskGroup, state: QueuePollState) -> None:
        state.running += 1
        self._metrics.polls.labels(state.label).set(state.running)
        polls.create_task(self._poll_while_wanted(polls, state), name=f"poll {state.label}")

    async def _poll_while_wanted(self, polls: asyncio.TaskGroup, state: QueuePollState) -> None:
        try:
            while not self.is_stopping and state.running <= state.wanted:
                await self._poll(state)
                if state.running < state.wanted and not self.is_stopping:
                    self._start_poll(polls, state)
        except LeasesClosedError:
            pass
        finally:
            state.running -= 1
            self._metrics.polls.labels(state.label).set(state.running)

    async def _poll(self, state: QueuePollState) -> None:
        """One poll under one lease; its answer decides how many polls are wanted from now on."""
        lease = await self._leases.open(state.url)
        state.arrivals.begin_poll(asyncio.get_running_loop().time())
        try:
            messages = await self._queues.receive(lease)
        except QueueCallError as error:
            state.arrivals.end_poll(has_failed=True)
            self._leases.abandon(lease)
            await self._failed(state, error)
            return
        state.arrivals.end_poll(has_failed=False)
        if state.failures_in_a_row >= FAILURES_BEFORE_NOT_RECEIVING:
            _log.info("receive.recovered", queue=state.label)
        state.failures = 0
        self._leases.fill(lease, messages)
        self._count(state, lease, messages)
        if messages and self.is_stopping:
            await self._release(state, messages)
        elif messages:
            await self._send(messages)
        if len(messages) < MESSAGES_PER_POLL:
            await self._pause(PART_FULL_PAUSE_SECONDS)
        state.wanted = polls_wanted(state.running, len(messages), self._polls_at_most)

    async def _send(self, messages: list[Message]) -> None:
        self._sends += 1
        self._nothing_to_send.clear()
        try:
            await self._outbox.send(tuple([self._decoded(message) for message in messages]))
        finally:
            self._sends -= 1
            if not self._sends:
                self._nothing_to_send.set()

    def _decoded(self, message: Message) -> Delivery:
        delivery = self._decode(message)
        if delivery.ignored or delivery.derived_sequencers or delivery.unknown:
            self._count_unusual(delivery)
        return delivery

    def _count_unusual(self, delivery: Delivery) -> None:
        for name in delivery.ignored:
            self._metrics.ignored_events.labels(name).inc()
        self._metrics.derived_sequencers.inc(delivery.derived_sequencers)
        if delivery.unknown:
            self._unknown_events.report(delivery.unknown)

    async def _release(self, state: QueuePollState, messages: list[Message]) -> None:
        handles = [message.receipt_handle for message in messages]
        done = await release(self._queues, state.url, handles, name=state.label)
        self._metrics.released_messages.labels(state.label).inc(done)
        if done == len(messages):  # else they stay in their lease: the end of the process releases them once more
            self._leases.settle(messages)

    async def _failed(self, state: QueuePollState, error: QueueCallError) -> None:
        state.failures += 1
        state.arrivals.record_failure(error.code, asyncio.get_running_loop().time())
        self._metrics.receive_requests.labels(state.label, "failed").inc()
        self._metrics.queue_errors.labels("receive", error.code).inc()
        if is_power_of_two(state.failures):
            _log.warning("receive.failed", queue=state.label, reason=error.code, detail=error.detail)
        own_seconds = FAILURE_BACKOFF.delay_seconds(state.failures_in_a_row)
        await self._pause(delay_as_asked(own_seconds, error.retry_after_seconds))

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than until `stop`."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _count(self, state: QueuePollState, lease: Lease, messages: list[Message]) -> None:
        answer = "full" if len(messages) >= MESSAGES_PER_POLL else "part" if messages else "empty"
        state.answers[answer].inc()
        state.received.inc(len(messages))
        first = [message.sent_at for message in messages if message.receive_count == 1]
        is_full, now, clock = len(messages) >= MESSAGES_PER_POLL, self._wall_clock(), asyncio.get_running_loop().time()
        received = [message.sent_at for message in messages] if is_full and not first else first
        youngest_seconds = None
        if sent := send_times_that_show_lag(first, received, is_full=is_full):
            oldest_seconds, youngest_seconds = max(0.0, now - sent[0]), max(0.0, now - sent[1])
            lease.oldest_sent_at = clock - oldest_seconds  # the wall clock may be set while it is held
            if first:
                self._metrics.receive_age_seconds.observe(oldest_seconds)
        state.arrivals.record_answer(len(messages), youngest_seconds, clock, is_full=is_full)
