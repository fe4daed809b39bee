"""Acknowledge: only committed messages are deleted, and metrics count what SQS reports as done."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriber.flow.channel import Channel
from subscriber.model import BatchAnswer, Receipt
from subscriber.observe.metrics import Metrics
from subscriber.pipeline.acknowledge import (
    CALL_ATTEMPTS_AT_MOST,
    RETRY_BACKOFF,
    AcknowledgeOptions,
    Acknowledger,
    calls_for,
    left_to_do,
    retry_delay_seconds,
)
from tests.fakes.leases import RecordingLeases
from tests.fakes.queues import ROUND_TRIP_SECONDS, FailEntries, FakeQueues, Fault, call_error
from tests.fakes.samples import OTHER_QUEUE, QUEUE, message, receipt
from tests.fakes.store import Fail, FailAfterDoing, Hold
from tests.fakes.virtual_time import VirtualTimeLoop, settle


class Setup:
    """An acknowledger and everything around it."""

    def __init__(self, *, calls_at_most: int = 4) -> None:
        self.queues = FakeQueues()
        self.leases = RecordingLeases()
        self.metrics = Metrics()
        self.inbox: Channel[tuple[Receipt, ...]] = Channel(1000)
        options = AcknowledgeOptions(calls_at_most=calls_at_most)
        self.acknowledger = Acknowledger(options, self.inbox, self.queues, self.leases, self.metrics)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Run the stage; at the end close the inbox and wait for the stage to end."""
        async with asyncio.TaskGroup() as group:
            yield group.create_task(self.acknowledger.run(), name="acknowledge")
            self.inbox.close()

    async def acknowledge(self, *receipts: Receipt) -> None:
        """Acknowledge these together, then end."""
        async with self.running():
            await self.inbox.send(receipts)

    def counts(self) -> tuple[float, float, float]:
        """Messages deleted, delayed and unsettled, by the metrics."""
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


def test_calls_have_one_queue_one_action_and_ten_entries_at_most() -> None:
    """In the order of the receipts; no message is named twice."""
    here = [receipt() for _ in range(12)]
    there = [receipt(of=message(OTHER_QUEUE)) for _ in range(3)]
    failed = [receipt("retry_later"), receipt("retry_later")]
    quarantined = receipt("quarantined")
    calls = [(queue, action, len(some)) for queue, action, some in calls_for([*here, *there, *failed, quarantined])]
    assert calls == [(QUEUE, "delete", 10), (QUEUE, "delete", 3), (OTHER_QUEUE, "delete", 3), (QUEUE, "delay", 2)]


@given(receive_count=st.integers(0, 100_000), chance=st.floats(0, 1))
def test_the_retry_delay_doubles_with_every_receive_to_fifteen_minutes(receive_count: int, chance: float) -> None:
    """Whole seconds between four fifths of the bound and all of it."""
    bound = min(900, 10 * 2 ** min(max(receive_count, 1) - 1, 20))
    assert 0.8 * bound - 1 < retry_delay_seconds(receive_count, chance) <= bound


def test_an_entry_that_is_not_reported_is_left_to_do() -> None:
    """Only an entry reported as done is finished or, for a change of visibility, one whose handle is over."""
    messages = [message() for _ in range(4)]
    broken = BatchAnswer(done=(0, 2), failed=((1, "InternalError"),))
    over = BatchAnswer(done=(0, 2), failed=((1, "MessageNotInflight"),))
    assert left_to_do("delay", messages, broken) == [messages[1], messages[3]]
    assert left_to_do("delay", messages, over) == left_to_do("release", messages, over) == [messages[3]]
    assert left_to_do("delete", messages, over) == [messages[1], messages[3]]


async def test_stored_and_quarantined_messages_are_deleted_ten_at_a_time() -> None:
    """Twenty-five messages are three calls."""
    setup = Setup()
    receipts = [receipt("stored" if number % 2 else "quarantined") for number in range(25)]
    await setup.acknowledge(*receipts)
    assert setup.queues.deleted == [handles(receipts[:10]), handles(receipts[10:20]), handles(receipts[20:])]
    assert setup.counts() == (25, 0, 0)


async def test_failed_messages_are_delayed_and_never_deleted() -> None:
    """The delay grows with each receive."""
    setup = Setup()
    receipts = [receipt("retry_later", of=message(receive_count=count)) for count in (1, 4, 50)]
    await setup.acknowledge(*receipts)
    (entries,) = setup.queues.visibility_changes
    assert tuple(handle for handle, _ in entries) == handles(receipts)
    for (_, seconds), bound in zip(entries, (10, 80, 900), strict=True):
        assert bound * 0.8 <= seconds <= bound
    assert setup.queues.deleted == []
    assert setup.counts() == (0, 3, 0)
    assert (setup.requests("delay"), setup.requests("delete")) == (1, None)


async def test_only_failed_entries_are_retried() -> None:
    """Reported as failed or not reported at all; counted once, when they are done."""
    setup = Setup()
    receipts = [receipt() for _ in range(10)]
    setup.queues.script("delete", FailEntries({2: "InternalError", 7: None}), FailEntries({1: None}))
    await setup.acknowledge(*receipts)
    again = (receipts[2], receipts[7])
    assert setup.queues.deleted == [handles(receipts), handles(again), handles(again[1:])]
    assert setup.counts() == (10, 0, 0)
    labels = {"operation": "delete", "code": "InternalError"}
    assert setup.metrics.registry.get_sample_value("subscriber_queue_errors_total", labels) == 1


@pytest.mark.parametrize("fault", [Fail(call_error()), FailAfterDoing(call_error())])
async def test_a_failed_call_is_retried_whole(fault: Fault) -> None:
    """Deleting twice is deleting once, and each call is counted as one."""
    setup = Setup()
    setup.queues.script("delete", fault, fault)
    receipts = [receipt() for _ in range(3)]
    await setup.acknowledge(*receipts)
    assert setup.queues.deleted == [handles(receipts)] * 3
    assert setup.counts() == (3, 0, 0)
    assert setup.requests("delete") == 3


async def test_attempts_are_bounded_and_the_rest_is_counted() -> None:
    """Five attempts within 1.5 s of waiting; then the message is settled, and SQS delivers it again."""
    setup = Setup()
    setup.queues.script("delete", *[FailEntries({0: "InternalError"})] * 50)
    receipts = [receipt() for _ in range(3)]
    begun = asyncio.get_running_loop().time()
    await setup.acknowledge(*receipts)
    waited = asyncio.get_running_loop().time() - begun - CALL_ATTEMPTS_AT_MOST * ROUND_TRIP_SECONDS
    assert 0 <= waited <= 1.5
    assert len(setup.queues.deleted) == CALL_ATTEMPTS_AT_MOST == 5
    assert setup.counts() == (2, 0, 1)
    assert setup.leases.settled == Counter(handles(receipts))


async def test_calls_run_concurrently_within_their_limit() -> None:
    """All slots are used, and failures lose none."""
    setup = Setup(calls_at_most=4)
    setup.queues.script("delete", *[Fail(call_error())] * 10)
    await setup.acknowledge(*[receipt() for _ in range(200)])
    assert setup.queues.settling_most == 4
    assert setup.counts() == (200, 0, 0)


async def test_a_throttled_call_is_made_again_when_the_queue_asks_for_it() -> None:
    """Not before, for each attempt; and at most five seconds later than otherwise."""
    setup = Setup()
    asked = (2.0, 1.0, 3600.0)
    setup.queues.script("delete", *(Fail(call_error("RequestThrottled", seconds)) for seconds in asked))
    began_at = asyncio.get_running_loop().time()
    await setup.acknowledge(receipt())
    elapsed_seconds = asyncio.get_running_loop().time() - began_at
    our_own = sum(RETRY_BACKOFF.delay_seconds(failures, chance=1) for failures in (1, 2, 3))
    assert 2 + 1 + 5 <= elapsed_seconds <= 2 + 1 + 5 + our_own
    assert setup.counts() == (1, 0, 0)


async def test_one_slow_call_does_not_delay_the_others() -> None:
    """It occupies one slot; the stage ends only after its answer."""
    setup = Setup(calls_at_most=2)
    hold = Hold()
    setup.queues.script("delete", hold)
    async with setup.running() as task:
        for _ in range(10):
            await setup.inbox.send((receipt(),))
        setup.inbox.close()
        await asyncio.sleep(60)
        assert setup.counts() == (9, 0, 0)
        assert not task.done()
        hold.release()
    assert setup.counts() == (10, 0, 0)


async def test_messages_are_settled_when_the_call_is_answered() -> None:
    """Not before: a hard stop in between releases them."""
    setup = Setup()
    hold = Hold()
    setup.queues.script("delete", hold)
    task = asyncio.create_task(setup.acknowledger.run(), name="acknowledge")
    await setup.inbox.send((receipt(),))
    await hold.reached.wait()
    await settle()
    assert setup.leases.settled == Counter()
    task.cancel()
    await asyncio.wait([task])
    assert setup.leases.settled == Counter()


FAULTS = st.one_of(
    st.none(),
    st.sampled_from([Fail(call_error()), FailAfterDoing(call_error())]),
    st.dictionaries(st.integers(0, 9), st.sampled_from(["InternalError", None])).map(FailEntries),
)


@settings(deadline=None)
@given(
    groups=st.lists(st.lists(st.sampled_from(["stored", "quarantined", "retry_later"]), max_size=25), max_size=4),
    delete=st.lists(FAULTS, max_size=20),
    change=st.lists(FAULTS, max_size=20),
)
def test_under_any_faults_every_message_is_settled_once(
    groups: list[list[str]], delete: list[Fault], change: list[Fault]
) -> None:
    """It is counted once, as deleted, delayed or unsettled; no failed message is in a delete call."""

    async def scenario() -> None:
        setup = Setup()
        setup.queues.script("delete", *delete)
        setup.queues.script("change_visibility", *change)
        sent = [[receipt("retry_later" if one == "retry_later" else "stored") for one in group] for group in groups]
        async with setup.running():
            for group in sent:
                await setup.inbox.send(tuple(group))
        every = [one for group in sent for one in group]
        assert setup.leases.settled == Counter(handles(every))
        assert sum(setup.counts()) == len(every)
        failed = set(handles(one for one in every if one.verdict == "retry_later"))
        assert not failed & {handle for call in setup.queues.deleted for handle in call}

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())
