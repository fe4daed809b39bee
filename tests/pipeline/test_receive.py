"""Receive: as many polls as the queue has work for, none without room, and patience with a queue that fails."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.flow.leases import InFlightLimits
from subscriber.model import Lease, Message
from subscriber.pipeline.receive import backoff_after_failures, polls_wanted
from tests.fakes.queues import ROUND_TRIP_SECONDS, Bring, call_error
from tests.fakes.samples import OTHER_QUEUE, QUEUE
from tests.fakes.store import Refuse
from tests.fakes.virtual_time import settle
from tests.pipeline.receiver import Stage


@pytest.mark.parametrize(
    ("running", "answered", "wanted"),
    [(1, 10, 2), (8, 10, 8), (4, 9, 4), (4, 4, 4), (4, 3, 3), (4, 0, 3), (1, 0, 1), (1, 3, 1)],
)
def test_the_number_of_polls_follows_the_answers(running: int, answered: int, wanted: int) -> None:
    """Full: one more, up to the maximum; nearly empty: one less, down to one; between them: as many."""
    assert polls_wanted(running, answered, 8) == wanted


async def test_an_idle_queue_has_one_poll() -> None:
    """One long poll follows the other, and that is all."""
    stage = Stage()
    async with stage.running():
        await asyncio.sleep(90)
        assert stage.queues.open_polls[QUEUE] == 1
        assert len(stage.queues.polls) == 5


async def test_full_answers_double_the_polls_up_to_the_maximum() -> None:
    """Each round trip of full answers doubles them; polls of all queues share the maximum."""
    stage = Stage(QUEUE, OTHER_QUEUE, polls_at_most=16)
    stage.queues.send(QUEUE, ["{}"] * 1000)
    async with stage.running():
        await asyncio.sleep(ROUND_TRIP_SECONDS / 2)
        seen = []
        for _ in range(6):
            seen.append(stage.queues.open_polls[QUEUE])
            await asyncio.sleep(ROUND_TRIP_SECONDS)
        assert seen == [1, 2, 4, 8, 8, 8]


async def test_nearly_empty_answers_send_polls_home() -> None:
    """When the flood is over one poll is left, and no other was cancelled for it."""
    stage = Stage()
    stage.queues.send(QUEUE, ["{}"] * 1000)
    async with stage.running():
        await asyncio.sleep(0.2)
        assert stage.queues.open_polls[QUEUE] == 8
        await asyncio.sleep(60)
        assert stage.queues.open_polls[QUEUE] == 1
        assert stage.queues.cancelled_polls == 0
        assert len(stage.taken()) == 1000


async def test_no_poll_without_room() -> None:
    """What is held never passes the ceiling, and settling ten messages lets one more poll begin."""
    stage = Stage(ceiling=InFlightLimits(messages=30, bytes=1 << 30))
    stage.queues.send(QUEUE, ["{}"] * 1000)
    async with stage.running():
        await asyncio.sleep(60)
        messages = stage.taken()
        assert len(messages) == stage.leases.messages_held == 30
        assert len(stage.queues.polls) == 3
        stage.leases.settle(messages[:9])
        await asyncio.sleep(60)
        assert len(stage.queues.polls) == 3
        stage.leases.settle(messages[9:10])
        await asyncio.sleep(60)
        assert len(stage.queues.polls) == 4


async def test_a_flooded_queue_leaves_room_for_the_others() -> None:
    """A quiet queue keeps its poll, and what comes there is received though nothing else can be."""
    stage = Stage(QUEUE, OTHER_QUEUE, ceiling=InFlightLimits(messages=50, bytes=1 << 30))
    stage.queues.send(QUEUE, ["{}"] * 1000)
    async with stage.running():
        await asyncio.sleep(60)
        assert len(stage.taken()) == 40
        stage.queues.send(OTHER_QUEUE, ["{}"] * 3)
        await settle()
        assert [message.queue for message in stage.taken()] == [OTHER_QUEUE] * 3


async def test_a_flooded_queue_does_not_starve_another_where_bytes_are_short() -> None:
    """With room for one poll at a time they take turns, though the flooded one asks again at once."""
    stage = Stage(QUEUE, OTHER_QUEUE, ceiling=InFlightLimits(messages=100_000, bytes=1 << 20))
    stage.queues.send(QUEUE, ["{}"] * 5000)
    stage.queues.send(OTHER_QUEUE, ["{}"] * 100)
    async with stage.running():
        received = Counter[str]()
        for _ in range(100):
            await asyncio.sleep(ROUND_TRIP_SECONDS)
            messages = stage.taken()
            received.update(message.queue for message in messages)
            stage.leases.settle(messages)
        assert received[OTHER_QUEUE] == 100
        assert received[QUEUE] > 100


@given(failures=st.integers(1, 10_000), chance=st.floats(0, 1))
def test_the_pause_after_failures_is_bounded(failures: int, chance: float) -> None:
    """Between nothing and a bound that doubles from 0.2 to 20 seconds."""
    assert 0 <= backoff_after_failures(failures, chance) <= min(20.0, 0.2 * 2 ** min(failures - 1, 20))


async def test_failing_polls_back_off_and_success_forgets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses double up to 20 s while polls fail; the room lives on, holds nothing, and starts afresh."""
    monkeypatch.setattr("random.random", lambda: 1.0)
    stage = Stage()
    stage.queues.script("receive", *[Refuse(call_error())] * 10, Bring(5), Refuse(call_error()), Bring(1))
    async with stage.running() as room:
        await asyncio.sleep(100)
        assert not room.done()
        assert stage.pauses()[:12] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 20, 20, 20, 0.05, 0.2]
        assert stage.requests("failed") == 11
        assert len(stage.taken()) == 6
        assert stage.leases.messages_held == 6 + 10 * stage.queues.open_polls[QUEUE]


async def test_polls_that_fail_together_count_as_one_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment without network under many polls costs a short pause, not the longest."""
    monkeypatch.setattr("random.random", lambda: 1.0)
    stage = Stage()
    stage.queues.send(QUEUE, ["{}"] * 10_000)
    async with stage.running():
        await asyncio.sleep(0.2)
        stage.queues.script("receive", *[Refuse(call_error())] * 8)
        await asyncio.sleep(0.25)
        assert stage.requests("failed") == 8
        assert stage.queues.open_polls[QUEUE] == 8


async def test_an_answer_that_is_not_full_is_followed_by_a_short_pause() -> None:
    """Fifty milliseconds make the next answer fuller; after a full one there is no time to lose."""
    stage = Stage(polls_at_most=1)
    stage.queues.script("receive", Bring(10), Bring(9), Bring(10))
    async with stage.running():
        await asyncio.sleep(1)
        assert stage.pauses() == [0, 0.05, 0]


async def test_lag_is_the_age_at_the_first_receive_only() -> None:
    """A message that comes again says nothing about how late the fleet is."""
    stage = Stage()
    stage.queues.send(QUEUE, ["{}"], sent_at=990.0)
    async with stage.running():
        await asyncio.sleep(400)
        assert [message.receive_count for message in stage.taken()] == [1, 2]
    value = stage.metrics.registry.get_sample_value
    assert (value("subscriber_receive_age_seconds_count"), value("subscriber_receive_age_seconds_sum")) == (1, 10)


async def test_what_came_is_told_to_the_observer() -> None:
    """The youngest first receive, once; the oldest, as long as it is inside; and how long nothing has come."""
    stage = Stage()
    for sent_at in (990.0, 940.0):
        stage.queues.send(QUEUE, ["{}"], sent_at=sent_at)
    async with stage.running():
        arrivals = stage.receiver.arrivals[QUEUE]
        await asyncio.sleep(1)
        assert (arrivals.pop_min_age(), arrivals.pop_min_age(), stage.leases.oldest_sent_at) == (10, None, 940)
        await asyncio.sleep(100)
        now = asyncio.get_running_loop().time()
        assert (arrivals.empty_in_a_row, round(arrivals.silent_seconds(now))) == (5, 81)
        stage.queues.script("receive", Refuse(call_error()))
        await asyncio.sleep(20)
        assert arrivals.empty_in_a_row == 0


async def test_a_fault_in_decode_ends_the_room_loudly() -> None:
    """A bug is not swallowed by a poll's task."""
    stage = Stage()
    stage.receiver._decode = lambda message: (_ for _ in ()).throw(KeyError(message.body))
    stage.queues.send(QUEUE, ["{}"])
    with pytest.raises(ExceptionGroup) as raised:
        await stage.receiver.run()
    assert raised.group_contains(KeyError)


async def test_a_queue_that_never_answers_shows_in_readiness(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few failures in a row say nothing; six of them do, until the next answer."""
    monkeypatch.setattr("random.random", lambda: 1.0)
    stage = Stage()
    stage.queues.script("receive", *[Refuse(call_error())] * 7, Bring(1))
    told = []
    async with stage.running():
        for seconds in (2, 8, 20):
            await asyncio.sleep(seconds)
            told.append(stage.receiver.is_receiving)
    assert told == [True, False, True]


async def test_a_queue_that_fails_is_not_said_to_have_recovered_because_another_answers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It recovers when it answers itself, once."""
    stage = Stage(QUEUE, OTHER_QUEUE)
    answers = stage.queues.receive
    fails = True

    async def receive(lease: Lease) -> list[Message]:
        if fails and lease.queue == QUEUE:
            raise call_error()
        return await answers(lease)

    stage.queues.receive = receive  # type: ignore[method-assign]  # one queue fails, for as long as the test says
    async with stage.running():
        await asyncio.sleep(300)
        states = [stage.receiver.is_receiving]
        assert "receive.recovered" not in capsys.readouterr().out
        fails = False
        await asyncio.sleep(60)
        states.append(stage.receiver.is_receiving)
    assert states == [False, True]
    assert capsys.readouterr().out.count("receive.recovered") == 1
