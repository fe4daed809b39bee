"""Leases under any sequence of polls, answers, settlements, pauses and cancellations, against a simple model."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from subscriber.flow.leases import InFlightLimits, VisibilityLeases
from subscriber.model import MESSAGES_PER_POLL, POLL_BYTES, Lease, Message
from tests.fakes.samples import message
from tests.fakes.virtual_time import VirtualTimeLoop, settle

pytestmark = pytest.mark.usefixtures("untraced")

LARGEST_BODY = POLL_BYTES // MESSAGES_PER_POLL


class LeaseSequences(RuleBasedStateMachine):
    """The model keeps open leases and unsettled messages in plain lists and recounts them each time."""

    @initialize(
        queues=st.integers(1, 3), polls=st.integers(0, 4), spare=st.integers(0, 9), byte_polls=st.integers(1, 5)
    )
    def begin(self, queues: int, polls: int, spare: int, byte_polls: int) -> None:
        """Leases with capacity for at least one poll of each queue."""
        self.loop = VirtualTimeLoop()
        self.queues = [f"queue-{number}" for number in range(queues)]
        self.limits = InFlightLimits((queues + polls) * MESSAGES_PER_POLL + spare, byte_polls * POLL_BYTES)
        self.live = self.limits.messages
        self.paused = False
        self.on_probation = False
        self.leases = VisibilityLeases(self.queues, self.limits, visibility_seconds=300)
        self.waiting: list[tuple[str, asyncio.Task[Lease]]] = []
        self.open: list[Lease] = []
        self.unsettled: list[Message] = []
        self.settled: list[Message] = []

    @rule(number=st.integers(0, 2), times=st.integers(1, 4))
    def open_leases(self, number: int, times: int) -> None:
        """Tasks open leases."""
        queue = self.queues[number % len(self.queues)]
        for _ in range(times):
            self.waiting.append((queue, self.loop.create_task(self.leases.open(queue), name=queue)))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0), sizes=st.lists(st.sampled_from([0, 900, LARGEST_BODY]), max_size=MESSAGES_PER_POLL))
    def answer(self, which: int, sizes: list[int]) -> None:
        """A poll returns messages, or none."""
        lease = self.open.pop(which % len(self.open))
        messages = [message(lease.queue, body="x" * size, under=lease) for size in sizes]
        self.within_loop(lambda: self.leases.fill(lease, messages))
        self.unsettled.extend(messages)

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0))
    def fail(self, which: int) -> None:
        """A poll fails."""
        lease = self.open.pop(which % len(self.open))
        self.within_loop(lambda: self.leases.abandon(lease))

    @rule(count=st.integers(0, 20), again=st.integers(0, 3), cancelled=st.none() | st.integers(0, 20))
    def settle(self, count: int, again: int, cancelled: int | None) -> None:
        """Messages are settled, some of them twice, and at the same moment a waiting task is cancelled."""
        gone, self.unsettled = self.unsettled[:count], self.unsettled[count:]
        self.leases.settle([*gone, *self.settled[-again:]])
        self.settled.extend(gone)
        if cancelled is not None and self.waiting:
            self.waiting[cancelled % len(self.waiting)][1].cancel()

    @rule()
    def pause(self) -> None:
        """The database is unavailable."""
        self.leases.pause()
        self.paused = True

    @rule()
    def resume(self) -> None:
        """The database is available again."""
        self.leases.resume()
        self.paused = self.on_probation = False

    @rule()
    def begin_probation(self) -> None:
        """The database answers, but no write has succeeded yet."""
        self.leases.begin_probation()
        self.paused, self.on_probation = False, True

    @rule(messages=st.integers(0, 100))
    def regulate(self, messages: int) -> None:
        """The live budget changes."""
        self.leases.set_budget(messages)
        self.live = max(MESSAGES_PER_POLL * len(self.queues), min(messages, self.limits.messages))

    @invariant()
    def the_sums_are_right_and_within_the_limits(self) -> None:
        """Exactly the open polls and the unsettled messages are held."""
        self.let_tasks_run()
        held, reserved = self.leases.messages_held, self.leases.messages_reserved
        assert (held, reserved) == (len(self.unsettled), MESSAGES_PER_POLL * len(self.open))
        assert self.leases.bytes_held == sum(len(one.body) for one in self.unsettled)
        assert self.leases.bytes_reserved == POLL_BYTES * len(self.open)
        assert held + reserved <= self.limits.messages
        assert self.leases.bytes_held + self.leases.bytes_reserved <= self.limits.bytes

    @invariant()
    def outstanding_is_what_is_not_settled(self) -> None:
        """A stop would release neither more nor less."""
        self.let_tasks_run()
        handles = [handle for _, handles in self.leases.outstanding() for handle in handles]
        assert sorted(handles) == sorted(one.receipt_handle for one in self.unsettled)

    @invariant()
    def no_task_waits_without_need(self) -> None:
        """No wake-up was lost: where a task waits, the queue that holds least has no capacity, or is held back."""
        self.let_tasks_run()
        held = self.recounted()
        if self.waiting and not self.paused:
            least = min(held[queue] for queue, _ in self.waiting)
            first = {queue for queue, _ in self.waiting if held[queue] == least}
            is_held_back = self.on_probation and least >= MESSAGES_PER_POLL
            assert is_held_back or not any(self.has_capacity(queue) for queue in first)

    @invariant()
    def a_queue_may_open_exactly_where_a_scan_of_all_queues_allows_it(self) -> None:
        """The running sums and the order of the waiting queues say what a recount of everything says."""
        self.let_tasks_run()
        held = self.recounted()
        asking = {queue for queue, _ in self.waiting}
        for queue in self.queues:
            yields = any(held[other] < held[queue] for other in asking)
            probation_allows = not self.on_probation or held[queue] < MESSAGES_PER_POLL
            allowed = not self.paused and probation_allows and self.has_capacity(queue) and not yields
            assert self.leases._may_open(queue) == allowed

    def recounted(self) -> Counter[str]:
        """What counts for each queue: its unsettled messages, and ten for each open poll."""
        held = Counter(dict.fromkeys(self.queues, 0))
        held.update(Counter(one.queue for one in self.unsettled))
        for lease in self.open:
            held[lease.queue] += MESSAGES_PER_POLL
        return held

    def has_capacity(self, queue: str) -> bool:
        """Whether a poll of the queue fits beside one poll of every other queue."""
        held = self.recounted()
        kept = sum(max(0, MESSAGES_PER_POLL - count) for other, count in held.items() if other != queue)
        messages_fit = held.total() + kept + MESSAGES_PER_POLL <= self.live
        taken_bytes = POLL_BYTES * len(self.open) + sum(len(one.body) for one in self.unsettled)
        return messages_fit and taken_bytes + POLL_BYTES <= self.limits.bytes

    def within_loop(self, act: Callable[[], None]) -> None:
        """Run something that needs a running loop."""

        async def scenario() -> None:
            act()

        self.loop.run_until_complete(scenario())

    def let_tasks_run(self) -> None:
        """Run every ready task; collect the leases that were given."""
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
