"""Acknowledge: only what is committed is deleted, and everything is counted from what the queue says."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriber.flow.channel import Channel
from subscriber.model import BatchAnswer, Message, Receipt
from subscriber.observe.metrics import Metrics
from subscriber.pipeline.acknowledge import (
    ATTEMPTS_AT_MOST,
    AcknowledgeOptions,
    Acknowledger,
    calls_for,
    left_to_do,
    retry_delay_seconds,
)
from tests.fakes.queues import ROUND_TRIP_SECONDS, FailEntries, FakeQueues, Fault, call_error
from tests.fakes.samples import OTHER_QUEUE, QUEUE, message, receipt
from tests.fakes.store import FailAfterDoing, Hold, Refuse
from tests.fakes.virtual_time import VirtualTimeLoop, settle


class Book:
    """Counts who has left."""

    def __init__(self) -> None:
        self.settled: Counter[str] = Counter()

    def settle(self, messages: Iterable[Message]) -> None:
        """These are gone."""
        self.settled.update(one.receipt_handle for one in messages)


class Stage:
    """An acknowledger between a channel and fake queues."""

    def __init__(self, *, calls_at_most: int = 4) -> None:
        self.queues = FakeQueues()
        self.book = Book()
        self.metrics = Metrics()
        self.inbox: Channel[tuple[Receipt, ...]] = Channel(1000)
        options = AcknowledgeOptions(calls_at_most=calls_at_most)
        self.acknowledger = Acknowledger(options, self.inbox, self.queues, self.book, self.metrics)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """The room at work; at the end the inbox is closed and the room must come to its end."""
        async with asyncio.TaskGroup() as group:
            yield group.create_task(self.acknowledger.run(), name="acknowledge")
            self.inbox.close()

    async def tell(self, *receipts: Receipt) -> None:
        """Settle these in one go, by a room that then ends."""
        async with self.running():
            await self.inbox.send(receipts)

    def counts(self) -> tuple[float, float, float]:
        """Messages deleted, retry_delayed and left unsettled, by the metrics."""
        names = ("acknowledged", "retry_delayed", "unsettled")
        value = self.metrics.registry.get_sample_value
        deleted, retry_delayed, unsettled = (
            value(f"subscriber_{name}_messages_total", {"queue": "events"}) or 0 for name in names
        )
        return deleted, retry_delayed, unsettled

    def requests(self, operation: str) -> float | None:
        """Calls made, by the metrics."""
        labels = {"queue": "events", "operation": operation}
        return self.metrics.registry.get_sample_value("subscriber_settle_requests_total", labels)


def handles(receipts: Iterable[Receipt]) -> tuple[str, ...]:
    """Their receipt handles."""
    return tuple(one.message.receipt_handle for one in receipts)


def test_calls_are_of_one_queue_one_action_and_ten_at_most() -> None:
    """In the order the receipts came; nothing is named twice."""
    here = [receipt() for _ in range(12)]
    there = [receipt(of=message(OTHER_QUEUE)) for _ in range(3)]
    failed = [receipt("retry_later"), receipt("retry_later")]
    quarantined = receipt("quarantined")
    calls = [(queue, action, len(some)) for queue, action, some in calls_for([*here, *there, *failed, quarantined])]
    assert calls == [(QUEUE, "delete", 10), (QUEUE, "delete", 3), (OTHER_QUEUE, "delete", 3), (QUEUE, "delay", 2)]


@given(receive_count=st.integers(0, 100_000), chance=st.floats(0, 1))
def test_hiding_doubles_with_every_receive_to_fifteen_minutes(receive_count: int, chance: float) -> None:
    """Whole seconds between four fifths of the bound and all of it."""
    bound = min(900, 10 * 2 ** min(max(receive_count, 1) - 1, 20))
    assert 0.8 * bound - 1 < retry_delay_seconds(receive_count, chance) <= bound


def test_an_entry_that_is_not_named_is_left_to_do() -> None:
    """Only what the answer lists as done is believed, or of a change of visibility, that the handle is over."""
    messages = [message() for _ in range(4)]
    broken = BatchAnswer(done=(0, 2), failed=((1, "InternalError"),))
    over = BatchAnswer(done=(0, 2), failed=((1, "MessageNotInflight"),))
    assert left_to_do("delay", messages, broken) == [messages[1], messages[3]]
    assert left_to_do("delay", messages, over) == left_to_do("release", messages, over) == [messages[3]]
    assert left_to_do("delete", messages, over) == [messages[1], messages[3]]


async def test_what_is_stored_or_quarantined_is_deleted_by_tens() -> None:
    """Twenty-five messages are three calls."""
    stage = Stage()
    receipts = [receipt("stored" if number % 2 else "quarantined") for number in range(25)]
    await stage.tell(*receipts)
    assert stage.queues.deleted == [handles(receipts[:10]), handles(receipts[10:20]), handles(receipts[20:])]
    assert stage.counts() == (25, 0, 0)


async def test_what_failed_is_retry_delayed_and_never_deleted() -> None:
    """For a time that grows with each receive."""
    stage = Stage()
    receipts = [receipt("retry_later", of=message(receive_count=count)) for count in (1, 4, 50)]
    await stage.tell(*receipts)
    (entries,) = stage.queues.visibility_changes
    assert tuple(handle for handle, _ in entries) == handles(receipts)
    for (_, seconds), bound in zip(entries, (10, 80, 900), strict=True):
        assert bound * 0.8 <= seconds <= bound
    assert stage.queues.deleted == []
    assert stage.counts() == (0, 3, 0)
    assert (stage.requests("delay"), stage.requests("delete")) == (1, None)


async def test_only_entries_that_failed_are_tried_again() -> None:
    """Named as failed or not named at all; counted once when they are done."""
    stage = Stage()
    receipts = [receipt() for _ in range(10)]
    stage.queues.script("delete", FailEntries({2: "InternalError", 7: None}), FailEntries({1: None}))
    await stage.tell(*receipts)
    again = (receipts[2], receipts[7])
    assert stage.queues.deleted == [handles(receipts), handles(again), handles(again[1:])]
    assert stage.counts() == (10, 0, 0)
    labels = {"operation": "delete", "code": "InternalError"}
    assert stage.metrics.registry.get_sample_value("subscriber_queue_errors_total", labels) == 1


@pytest.mark.parametrize("fault", [Refuse(call_error()), FailAfterDoing(call_error())])
async def test_a_call_that_failed_is_repeated_whole(fault: Fault) -> None:
    """Deleting twice is deleting once, and each call is counted as one."""
    stage = Stage()
    stage.queues.script("delete", fault, fault)
    receipts = [receipt() for _ in range(3)]
    await stage.tell(*receipts)
    assert stage.queues.deleted == [handles(receipts)] * 3
    assert stage.counts() == (3, 0, 0)
    assert stage.requests("delete") == 3


async def test_tries_are_bounded_and_what_is_left_is_counted() -> None:
    """Five tries within 1.5 s of waiting; then the message leaves the book, and the queue will bring it again."""
    stage = Stage()
    stage.queues.script("delete", *[FailEntries({0: "InternalError"})] * 50)
    receipts = [receipt() for _ in range(3)]
    begun = asyncio.get_running_loop().time()
    await stage.tell(*receipts)
    waited = asyncio.get_running_loop().time() - begun - ATTEMPTS_AT_MOST * ROUND_TRIP_SECONDS
    assert 0 <= waited <= 1.5
    assert len(stage.queues.deleted) == ATTEMPTS_AT_MOST == 5
    assert stage.counts() == (2, 0, 1)
    assert stage.book.settled == Counter(handles(receipts))


async def test_calls_run_side_by_side_but_not_more_than_allowed() -> None:
    """All places are used, none is lost to failures."""
    stage = Stage(calls_at_most=4)
    stage.queues.script("delete", *[Refuse(call_error())] * 10)
    await stage.tell(*[receipt() for _ in range(200)])
    assert stage.queues.settling_most == 4
    assert stage.counts() == (200, 0, 0)


async def test_one_slow_call_does_not_hold_up_the_others() -> None:
    """It keeps one place; the room ends only when it has been answered."""
    stage = Stage(calls_at_most=2)
    hold = Hold()
    stage.queues.script("delete", hold)
    async with stage.running() as room:
        for _ in range(10):
            await stage.inbox.send((receipt(),))
        stage.inbox.close()
        await asyncio.sleep(60)
        assert stage.counts() == (9, 0, 0)
        assert not room.done()
        hold.release()
    assert stage.counts() == (10, 0, 0)


async def test_messages_leave_the_book_when_the_queue_has_answered() -> None:
    """Not before: a hard stop in between hands them back."""
    stage = Stage()
    hold = Hold()
    stage.queues.script("delete", hold)
    room = asyncio.create_task(stage.acknowledger.run(), name="acknowledge")
    await stage.inbox.send((receipt(),))
    await hold.reached.wait()
    await settle()
    assert stage.book.settled == Counter()
    room.cancel()
    await asyncio.wait([room])
    assert stage.book.settled == Counter()


FAULTS = st.one_of(
    st.none(),
    st.sampled_from([Refuse(call_error()), FailAfterDoing(call_error())]),
    st.dictionaries(st.integers(0, 9), st.sampled_from(["InternalError", None])).map(FailEntries),
)


@settings(deadline=None)
@given(
    groups=st.lists(st.lists(st.sampled_from(["stored", "quarantined", "retry_later"]), max_size=25), max_size=4),
    delete=st.lists(FAULTS, max_size=20),
    change=st.lists(FAULTS, max_size=20),
)
def test_whatever_fails_every_message_leaves_the_book_once(
    groups: list[list[str]], delete: list[Fault], change: list[Fault]
) -> None:
    """And is counted once: as deleted, retry_delayed or unsettled; what failed is in no delete call."""

    async def scene() -> None:
        stage = Stage()
        stage.queues.script("delete", *delete)
        stage.queues.script("change_visibility", *change)
        sent = [[receipt("retry_later" if one == "retry_later" else "stored") for one in group] for group in groups]
        async with stage.running():
            for group in sent:
                await stage.inbox.send(tuple(group))
        every = [one for group in sent for one in group]
        assert stage.book.settled == Counter(handles(every))
        assert sum(stage.counts()) == len(every)
        failed = set(handles(one for one in every if one.verdict == "retry_later"))
        assert not failed & {handle for call in stage.queues.deleted for handle in call}

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scene())
