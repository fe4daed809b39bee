"""The whole pipeline during an outage: messages are held, then released, and few are received without success."""

from __future__ import annotations

import asyncio
import math

import pytest

from subscriber.errors import StoreError, Treatment
from subscriber.model import ObjectEvent
from subscriber.queue_url import queue_name
from tests.fakes.queues import Fault, QueuedMessage, call_error
from tests.fakes.samples import OTHER_QUEUE, QUEUE, failing, put_body
from tests.fakes.store import Fail, FailAfterDoing, FakeStore
from tests.pipeline.pipelines import HOLD_SECONDS, VISIBILITY_SECONDS, Setup

HOUR_SECONDS = 3600


class UnavailableStore(FakeStore):
    """Unavailable until `is_unavailable` is cleared: writes fail, and pings too unless it answers them."""

    def __init__(self, treatment: Treatment, *, answers_pings: bool) -> None:
        super().__init__()
        self.is_unavailable = True
        self._error = failing(treatment)
        self._answers_pings = answers_pings

    async def store(self, rows: tuple[ObjectEvent, ...], limit_seconds: float = math.inf) -> int:  # type: ignore[override]  # the pipeline sends tuples
        """Fail while unavailable."""
        self._fail(self._error)
        return await super().store(rows, limit_seconds)

    async def ping(self) -> None:
        """Succeed or fail."""
        if not self._answers_pings:
            self._fail(self._error)
        await super().ping()

    def _fail(self, error: StoreError) -> None:
        if self.is_unavailable:
            raise error


def setup_of(treatment: Treatment, *, answers_pings: bool) -> tuple[Setup, UnavailableStore]:
    """A pipeline whose database is unavailable from the start."""
    store = UnavailableStore(treatment, answers_pings=answers_pings)
    return Setup(store=store), store


def receive_counts(setup: Setup) -> list[int]:
    """Receive counts of the messages that are left."""
    return sorted(kept.receive_count for kept in setup.queues.left(QUEUE))


def all_messages(setup: Setup) -> list[QueuedMessage]:
    """Every message of the queue, to inspect it after its deletion."""
    return setup.queues.left(QUEUE)


async def test_an_outage_shorter_than_the_hold_time_costs_no_receive() -> None:
    """Leases are extended beyond the visibility timeout; then each message is stored after one receive."""
    setup, store = setup_of(Treatment.RECONNECT, answers_pings=False)
    sent = setup.send(2000)
    every = all_messages(setup)
    async with setup.running():
        await asyncio.sleep(HOLD_SECONDS - 30)
        assert HOLD_SECONDS > 2 * VISIBILITY_SECONDS
        assert setup.keys() == set()
        assert max(receive_counts(setup)) == 1
        store.is_unavailable = False
        await asyncio.sleep(30)
        assert (setup.keys(), setup.left()) == (sent, 0)
    assert {kept.receive_count for kept in every} == {1}


async def test_five_seconds_after_an_outage_the_pipeline_is_at_full_speed() -> None:
    """After a long outage, everything that was sent meanwhile is stored."""
    setup, store = setup_of(Treatment.RECONNECT, answers_pings=False)
    async with setup.running():
        setup.send(50)
        await asyncio.sleep(HOUR_SECONDS)
        sent = setup.send(1000)
        store.is_unavailable = False
        await asyncio.sleep(5)
        assert setup.keys() == sent


async def test_while_pings_fail_each_message_is_released_once() -> None:
    """After the hold time held messages are released; nothing is received until a ping succeeds."""
    setup, _ = setup_of(Treatment.RECONNECT, answers_pings=False)
    setup.send(2000)
    async with setup.running():
        await asyncio.sleep(3 * HOUR_SECONDS)
        assert max(receive_counts(setup)) == 1
        assert setup.is_drained()
        now = asyncio.get_running_loop().time()
        assert all(kept.visible_at <= now for kept in setup.queues.left(QUEUE))


@pytest.mark.usefixtures("untraced")
async def test_when_pings_succeed_and_writes_fail_few_messages_are_received() -> None:
    """As on a full disk, for hours: no message comes near a dead-letter queue."""
    setup, store = setup_of(Treatment.STOP, answers_pings=True)
    sent = setup.send(2000)
    async with setup.running():
        await asyncio.sleep(3 * HOUR_SECONDS)
        counts = receive_counts(setup)
        assert max(counts) <= 2
        assert sum(counts) < 2 * 2000
        store.is_unavailable = False
        await asyncio.sleep(60)
        assert (setup.keys(), setup.left()) == (sent, 0)


async def test_messages_held_too_long_by_an_operators_pause_are_released() -> None:
    """Other consumers may receive them; after the pause they are received again and stored."""
    setup, store = setup_of(Treatment.RECONNECT, answers_pings=False)
    store.is_unavailable = False
    async with setup.running():
        setup.pipeline.limiter.pause()
        sent = setup.send(300)
        await asyncio.sleep(5)
        setup.leases.pause("operator")
        await asyncio.sleep(HOLD_SECONDS)
        now = asyncio.get_running_loop().time()
        assert all(kept.visible_at <= now for kept in setup.queues.left(QUEUE))
        assert len(setup.queues.left(QUEUE)) == 300
        setup.pipeline.limiter.resume()
        setup.leases.resume("operator")
        await asyncio.sleep(10)
        assert (setup.keys(), setup.left()) == (sent, 0)


@pytest.mark.parametrize("fault", [None, Fail(call_error("RequestThrottled")), FailAfterDoing(call_error())])
async def test_messages_released_after_the_hold_time_are_visible_soon_whatever_the_call_does(fault: Fault) -> None:
    """Their batch is given up at the same moment; each message is counted, and none as unsettled."""
    setup, _ = setup_of(Treatment.RECONNECT, answers_pings=False)
    setup.send(30)
    async with setup.running():
        await asyncio.sleep(HOLD_SECONDS - 1)
        setup.queues.script("release", *[fault] * 3)
        await asyncio.sleep(10)
        now = asyncio.get_running_loop().time()
        assert [kept.visible_at <= now for kept in setup.queues.left(QUEUE)] == [True] * 30
        name = queue_name(QUEUE)
        assert not setup.count("unsettled_messages_total", queue=name)
        if fault is None:
            assert setup.count("released_messages_total", queue=name) == 30


class StoreWithTrigger(FakeStore):
    """An operator's trigger raises for one key."""

    async def store(self, rows: tuple[ObjectEvent, ...], limit_seconds: float = math.inf) -> int:  # type: ignore[override]  # the pipeline sends tuples
        """Fail if that key is among them."""
        if "bad" in {row.key for row in rows}:
            raise failing(Treatment.MAYBE_ROW)
        return await super().store(rows, limit_seconds)


@pytest.mark.parametrize("limit", [4.0, 1.0, 0.05])
async def test_a_poison_message_that_arrives_alone_delays_no_other(limit: float) -> None:
    """Nothing proves yet that it is poison: on probation a few messages are received, whose success proves it."""
    setup = Setup(limit=limit, store=StoreWithTrigger())
    setup.queues.send(QUEUE, [put_body("bad")])
    async with setup.running():
        await asyncio.sleep(60)
        sent = setup.send(30)
        await asyncio.sleep(60)
        assert (setup.keys(), setup.left(), len(setup.store.quarantined)) == (sent, 0, 1)
        assert not setup.pipeline.breaker.is_unavailable


async def test_when_every_write_fails_few_messages_are_received_on_probation() -> None:
    """One is held and one poll of ten joins it; each is received once within the hold time."""
    setup, _ = setup_of(Treatment.MAYBE_ROW, answers_pings=True)
    setup.send(1)
    async with setup.running():
        await asyncio.sleep(10)
        setup.send(2000, OTHER_QUEUE)
        setup.queues.send(QUEUE, [put_body(f"later/{number}") for number in range(2000)])
        await asyncio.sleep(HOLD_SECONDS - 20)
        counts = [kept.receive_count for queue in (QUEUE, OTHER_QUEUE) for kept in setup.queues.left(queue)]
        assert (max(counts), sum(counts)) == (1, 21)
        assert (setup.keys(), setup.store.quarantined) == (set(), {})
