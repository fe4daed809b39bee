"""Receive: as many polls as a queue has messages for, none without capacity, and backoff when a queue fails."""

from __future__ import annotations

import asyncio
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.flow.leases import InFlightLimits
from subscriber.model import Lease, Message
from subscriber.pipeline.receive import FAILURE_BACKOFF, polls_wanted
from tests.fakes.queues import ROUND_TRIP_SECONDS, Deliver, call_error
from tests.fakes.samples import OTHER_QUEUE, QUEUE
from tests.fakes.store import Fail
from tests.fakes.virtual_time import settle
from tests.pipeline.receiver import Setup


@pytest.mark.parametrize(
    ("running", "answered", "wanted"),
    [(1, 10, 2), (8, 10, 8), (4, 9, 4), (4, 4, 4), (4, 3, 3), (4, 0, 3), (1, 0, 1), (1, 3, 1)],
)
def test_the_number_of_polls_follows_the_answers(running: int, answered: int, wanted: int) -> None:
    """Full: one more, up to the maximum; nearly empty: one less, down to one; between them: as many."""
    assert polls_wanted(running, answered, 8) == wanted


async def test_an_idle_queue_has_one_poll() -> None:
    """Long polls follow one another."""
    setup = Setup()
    async with setup.running():
        await asyncio.sleep(90)
        assert setup.queues.open_polls[QUEUE] == 1
        assert len(setup.queues.polls) == 5


async def test_full_answers_double_the_polls_up_to_the_maximum() -> None:
    """Each round trip of full answers doubles them; polls of all queues share the maximum."""
    setup = Setup(QUEUE, OTHER_QUEUE, polls_at_most=16)
    setup.queues.send(QUEUE, ["{}"] * 1000)
    async with setup.running():
        await asyncio.sleep(ROUND_TRIP_SECONDS / 2)
        seen = []
        for _ in range(6):
            seen.append(setup.queues.open_polls[QUEUE])
            await asyncio.sleep(ROUND_TRIP_SECONDS)
        assert seen == [1, 2, 4, 8, 8, 8]


async def test_nearly_empty_answers_end_polls() -> None:
    """After a burst one poll is left, and none was cancelled."""
    setup = Setup()
    setup.queues.send(QUEUE, ["{}"] * 1000)
    async with setup.running():
        await asyncio.sleep(0.2)
        assert setup.queues.open_polls[QUEUE] == 8
        await asyncio.sleep(60)
        assert setup.queues.open_polls[QUEUE] == 1
        assert setup.queues.cancelled_polls == 0
        assert len(setup.taken()) == 1000


async def test_no_poll_begins_without_capacity() -> None:
    """Held messages never exceed the limit; settling ten of them lets one more poll begin."""
    setup = Setup(limits=InFlightLimits(messages=30, bytes=1 << 30))
    setup.queues.send(QUEUE, ["{}"] * 1000)
    async with setup.running():
        await asyncio.sleep(60)
        messages = setup.taken()
        assert len(messages) == setup.leases.messages_held == 30
        assert len(setup.queues.polls) == 3
        setup.leases.settle(messages[:9])
        await asyncio.sleep(60)
        assert len(setup.queues.polls) == 3
        setup.leases.settle(messages[9:10])
        await asyncio.sleep(60)
        assert len(setup.queues.polls) == 4


async def test_a_flooded_queue_leaves_capacity_for_the_others() -> None:
    """A quiet queue keeps its poll, and its messages are received while the other queue has to wait."""
    setup = Setup(QUEUE, OTHER_QUEUE, limits=InFlightLimits(messages=50, bytes=1 << 30))
    setup.queues.send(QUEUE, ["{}"] * 1000)
    async with setup.running():
        await asyncio.sleep(60)
        assert len(setup.taken()) == 40
        setup.queues.send(OTHER_QUEUE, ["{}"] * 3)
        await settle()
        assert [message.queue for message in setup.taken()] == [OTHER_QUEUE] * 3


async def test_a_flooded_queue_does_not_starve_another_when_bytes_are_scarce() -> None:
    """With capacity for one poll at a time they alternate, though the flooded one polls again at once."""
    setup = Setup(QUEUE, OTHER_QUEUE, limits=InFlightLimits(messages=100_000, bytes=1 << 20))
    setup.queues.send(QUEUE, ["{}"] * 5000)
    setup.queues.send(OTHER_QUEUE, ["{}"] * 100)
    async with setup.running():
        received = Counter[str]()
        for _ in range(100):
            await asyncio.sleep(ROUND_TRIP_SECONDS)
            messages = setup.taken()
            received.update(message.queue for message in messages)
            setup.leases.settle(messages)
        assert received[OTHER_QUEUE] == 100
        assert received[QUEUE] > 100


@given(failures=st.integers(1, 10_000), chance=st.floats(0, 1))
def test_the_delay_after_failures_is_bounded(failures: int, chance: float) -> None:
    """Between zero and a bound that doubles from 0.2 to 20 seconds."""
    assert 0 <= FAILURE_BACKOFF.delay_seconds(failures, chance) <= min(20.0, 0.2 * 2 ** min(failures - 1, 20))


async def test_failing_polls_back_off_and_a_success_resets_the_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Delays double up to 20 s while polls fail; the stage goes on and holds nothing."""
    monkeypatch.setattr("random.random", lambda: 1.0)
    setup = Setup()
    setup.queues.script("receive", *[Fail(call_error())] * 10, Deliver(5), Fail(call_error()), Deliver(1))
    async with setup.running() as task:
        await asyncio.sleep(100)
        assert not task.done()
        assert setup.pauses()[:12] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 20, 20, 20, 0.05, 0.2]
        assert setup.requests("failed") == 11
        assert len(setup.taken()) == 6
        assert setup.leases.messages_held == 6
        assert setup.leases.messages_reserved == 10 * setup.queues.open_polls[QUEUE]


async def test_a_throttled_poll_waits_as_long_as_the_queue_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """But at most five seconds longer than its own delay, so that a wrong answer costs little."""
    monkeypatch.setattr("random.random", lambda: 1.0)
    setup = Setup()
    asked = (0.1, 3.0, 3600.0)
    setup.queues.script("receive", *(Fail(call_error("RequestThrottled", seconds)) for seconds in asked), Deliver(1))
    async with setup.running():
        await asyncio.sleep(100)
        assert setup.pauses()[:3] == [0.2, 3.0, 5.8]


async def test_polls_that_fail_together_count_as_one_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short network failure during many polls costs a short delay, not the longest."""
    monkeypatch.setattr("random.random", lambda: 1.0)
    setup = Setup()
    setup.queues.send(QUEUE, ["{}"] * 10_000)
    async with setup.running():
        await asyncio.sleep(0.2)
        setup.queues.script("receive", *[Fail(call_error())] * 8)
        await asyncio.sleep(0.25)
        assert setup.requests("failed") == 8
        assert setup.queues.open_polls[QUEUE] == 8


async def test_an_answer_that_is_not_full_is_followed_by_a_short_pause() -> None:
    """Fifty milliseconds make the next answer fuller; after a full answer there is no pause."""
    setup = Setup(polls_at_most=1)
    setup.queues.script("receive", Deliver(10), Deliver(9), Deliver(10))
    async with setup.running():
        await asyncio.sleep(1)
        assert setup.pauses() == [0, 0.05, 0]


async def test_the_age_of_a_message_is_observed_at_its_first_receive_only() -> None:
    """A redelivered message says nothing about the lag of the fleet."""
    setup = Setup()
    setup.queues.send(QUEUE, ["{}"], sent_at=990.0)
    async with setup.running():
        await asyncio.sleep(400)
        assert [message.receive_count for message in setup.taken()] == [1, 2]
    value = setup.metrics.registry.get_sample_value
    assert (value("subscriber_receive_age_seconds_count"), value("subscriber_receive_age_seconds_sum")) == (1, 10)


async def test_arrivals_are_recorded_for_the_observer() -> None:
    """The youngest first receive, once; the oldest, while it is held; and the time without a message."""
    setup = Setup()
    for sent_at in (990.0, 940.0):
        setup.queues.send(QUEUE, ["{}"], sent_at=sent_at)
    async with setup.running():
        arrivals = setup.receiver.arrivals[QUEUE]
        await asyncio.sleep(1)
        assert (arrivals.pop_min_age(), arrivals.pop_min_age()) == (10, None)
        assert setup.leases.oldest_sent_at()[QUEUE] == pytest.approx(940, abs=0.1)
        await asyncio.sleep(100)
        now = asyncio.get_running_loop().time()
        assert (arrivals.empty_in_a_row, round(arrivals.silent_seconds(now))) == (5, 81)
        setup.queues.script("receive", Fail(call_error()))
        await asyncio.sleep(20)
        assert arrivals.empty_in_a_row == 0


@pytest.mark.parametrize(("messages", "age_seconds"), [(10, 60.0), (9, None)])
async def test_a_backlog_that_was_received_before_shows_its_age(messages: int, age_seconds: float | None) -> None:
    """A full answer of such messages does; a few that come back do not."""
    setup = Setup()
    setup.queues.send(QUEUE, ["{}"] * messages, sent_at=940.0)
    async with setup.running():
        arrivals = setup.receiver.arrivals[QUEUE]
        await asyncio.sleep(1)
        assert arrivals.pop_min_age() == 60
        await asyncio.sleep(320)
        taken = setup.taken()
        assert {message.receive_count for message in taken[messages:]} == {2}
        assert arrivals.pop_min_age() == age_seconds
        lease = taken[-1].lease
        assert lease.oldest_sent_at == (math.inf if age_seconds is None else lease.taken_at - age_seconds)


async def test_polls_say_whether_anything_is_asked_of_the_queue() -> None:
    """An open poll; none in an outage's pause; a poll after one that failed proves nothing."""
    setup = Setup()
    states = []
    async with setup.running():
        arrivals = setup.receiver.arrivals[QUEUE]
        await asyncio.sleep(1)
        states.append((arrivals.open_polls, arrivals.is_asked))
        setup.leases.pause()
        await asyncio.sleep(30)
        states.append((arrivals.open_polls, arrivals.is_asked))
        setup.queues.script("receive", Fail(call_error()))
        setup.leases.resume()
        await asyncio.sleep(1)
        states.append((arrivals.open_polls, arrivals.is_asked))
        await asyncio.sleep(20)
        states.append((arrivals.open_polls, arrivals.is_asked))
    assert states == [(1, True), (0, False), (1, False), (1, True)]


async def test_an_exception_in_decode_ends_the_stage() -> None:
    """The task of a poll does not swallow a bug."""
    setup = Setup()
    setup.receiver._decode = lambda message: (_ for _ in ()).throw(KeyError(message.body))
    setup.queues.send(QUEUE, ["{}"])
    with pytest.raises(ExceptionGroup) as raised:
        await setup.receiver.run()
    assert raised.group_contains(KeyError)


async def test_a_queue_that_never_answers_shows_in_readiness(monkeypatch: pytest.MonkeyPatch) -> None:
    """After six failures in a row, not after a few, and until the next answer."""
    monkeypatch.setattr("random.random", lambda: 1.0)
    setup = Setup()
    setup.queues.script("receive", *[Fail(call_error())] * 7, Deliver(1))
    states = []
    async with setup.running():
        for seconds in (2, 8, 20):
            await asyncio.sleep(seconds)
            states.append(setup.receiver.queues_answer)
    assert states == [True, False, True]


async def test_a_failing_queue_is_not_logged_as_recovered_when_another_answers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Only its own answer is logged, once."""
    setup = Setup(QUEUE, OTHER_QUEUE)
    answers = setup.queues.receive
    fails = True

    async def receive(lease: Lease) -> list[Message]:
        if fails and lease.queue == QUEUE:
            raise call_error()
        return await answers(lease)

    setup.queues.receive = receive  # type: ignore[method-assign]  # one queue fails, for as long as the test says
    async with setup.running():
        await asyncio.sleep(300)
        states = [setup.receiver.queues_answer]
        assert "receive.recovered" not in capsys.readouterr().out
        fails = False
        await asyncio.sleep(60)
        states.append(setup.receiver.queues_answer)
    assert states == [False, True]
    assert capsys.readouterr().out.count("receive.recovered") == 1
