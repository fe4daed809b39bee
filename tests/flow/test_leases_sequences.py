"""Leases under any sequence of polls, answers, settlements, pauses and cancellations, against a simple model."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from subscriber.flow.leases import POLL_BYTES, POLL_MESSAGES, InFlightLimits, VisibilityLeases
from subscriber.model import Lease, Message
from tests.fakes.samples import message
from tests.fakes.virtual_time import VirtualTimeLoop, settle

pytestmark = pytest.mark.usefixtures("untraced")

LARGEST_BODY = POLL_BYTES // POLL_MESSAGES


class LeaseSequences(RuleBasedStateMachine):
    """The model keeps open leases and unsettled messages in plain lists and counts anew each time."""

    @initialize(
        queues=st.integers(1, 3), polls=st.integers(0, 4), spare=st.integers(0, 9), byte_polls=st.integers(1, 5)
    )
    def begin(self, queues: int, polls: int, spare: int, byte_polls: int) -> None:
        """A book with room for at least one poll of each queue."""
        self.loop = VirtualTimeLoop()
        self.queues = [f"queue-{number}" for number in range(queues)]
        self.ceiling = InFlightLimits((queues + polls) * POLL_MESSAGES + spare, byte_polls * POLL_BYTES)
        self.live = self.ceiling.messages
        self.paused = False
        self.book = VisibilityLeases(self.queues, self.ceiling, visibility_seconds=300)
        self.waiting: list[tuple[str, asyncio.Task[Lease]]] = []
        self.open: list[Lease] = []
        self.unsettled: list[Message] = []
        self.settled: list[Message] = []

    @rule(number=st.integers(0, 2), times=st.integers(1, 4))
    def ask(self, number: int, times: int) -> None:
        """Somebody wants to poll."""
        queue = self.queues[number % len(self.queues)]
        for _ in range(times):
            self.waiting.append((queue, self.loop.create_task(self.book.open(queue), name=queue)))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0), sizes=st.lists(st.sampled_from([0, 900, LARGEST_BODY]), max_size=POLL_MESSAGES))
    def answer(self, which: int, sizes: list[int]) -> None:
        """A poll brings messages, or none."""
        lease = self.open.pop(which % len(self.open))
        messages = [message(lease.queue, body="x" * size, under=lease) for size in sizes]
        self.within_loop(lambda: self.book.fill(lease, messages))
        self.unsettled.extend(messages)

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0))
    def fail(self, which: int) -> None:
        """A poll fails."""
        lease = self.open.pop(which % len(self.open))
        self.within_loop(lambda: self.book.abandon(lease))

    @rule(count=st.integers(0, 20), again=st.integers(0, 3), cancelled=st.none() | st.integers(0, 20))
    def let_go(self, count: int, again: int, cancelled: int | None) -> None:
        """Messages are settled, some of them twice, and in the same moment somebody is cancelled who waits."""
        gone, self.unsettled = self.unsettled[:count], self.unsettled[count:]
        self.book.settle([*gone, *self.settled[-again:]])
        self.settled.extend(gone)
        if cancelled is not None and self.waiting:
            self.waiting[cancelled % len(self.waiting)][1].cancel()

    @rule()
    def pause(self) -> None:
        """The database is away."""
        self.book.pause()
        self.paused = True

    @rule()
    def resume(self) -> None:
        """It is back."""
        self.book.resume()
        self.paused = False

    @rule(messages=st.integers(0, 100))
    def regulate(self, messages: int) -> None:
        """The live budget moves."""
        self.book.set_live_messages(messages)
        self.live = max(POLL_MESSAGES * len(self.queues), min(messages, self.ceiling.messages))

    @invariant()
    def the_sums_are_right_and_under_the_ceiling(self) -> None:
        """What is held is exactly the open polls and the unsettled messages."""
        self.let_tasks_run()
        assert self.book.messages_held == POLL_MESSAGES * len(self.open) + len(self.unsettled)
        assert self.book.bytes_held == POLL_BYTES * len(self.open) + sum(len(one.body) for one in self.unsettled)
        assert self.book.messages_held <= self.ceiling.messages
        assert self.book.bytes_held <= self.ceiling.bytes

    @invariant()
    def outstanding_is_what_is_not_settled(self) -> None:
        """Neither more nor less would be handed back."""
        self.let_tasks_run()
        handles = [handle for _, handles in self.book.outstanding() for handle in handles]
        assert sorted(handles) == sorted(one.receipt_handle for one in self.unsettled)

    @invariant()
    def nobody_waits_who_could_be_served(self) -> None:
        """No wake-up was lost: where somebody waits there is no room, or a pause."""
        self.let_tasks_run()
        held = Counter(dict.fromkeys(self.queues, 0))
        held.update(Counter(one.queue for one in self.unsettled))
        for lease in self.open:
            held[lease.queue] += POLL_MESSAGES
        for queue in {queue for queue, _ in self.waiting}:
            kept = sum(max(0, POLL_MESSAGES - count) for other, count in held.items() if other != queue)
            messages_fit = held.total() + kept + POLL_MESSAGES <= self.live
            assert self.paused or not (messages_fit and self.book.bytes_held + POLL_BYTES <= self.ceiling.bytes)

    def within_loop(self, act: Callable[[], None]) -> None:
        """Do what needs a running loop."""

        async def scene() -> None:
            act()

        self.loop.run_until_complete(scene())

    def let_tasks_run(self) -> None:
        """Until nobody can go on; who got a lease holds it."""
        self.loop.run_until_complete(settle(30))
        served = [task for _, task in self.waiting if task.done() and not task.cancelled()]
        self.waiting = [one for one in self.waiting if not one[1].done()]
        self.open.extend(task.result() for task in served)

    def teardown(self) -> None:
        """Leave no task behind."""
        for _, task in self.waiting:
            task.cancel()
        self.loop.run_until_complete(settle())
        self.loop.close()


TestLeaseSequences = LeaseSequences.TestCase
TestLeaseSequences.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
