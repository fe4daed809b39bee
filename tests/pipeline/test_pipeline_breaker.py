"""The whole line while the database is away: what it holds is kept, then goes back, and nothing comes in vain."""

from __future__ import annotations

import asyncio

import pytest

from subscriber.errors import StoreError, Treatment
from subscriber.model import ObjectEvent
from subscriber.observe.metrics import queue_name
from tests.fakes.queues import Fault, Kept, call_error
from tests.fakes.samples import OTHER_QUEUE, QUEUE, failing, put_body
from tests.fakes.store import FailAfterDoing, FakeStore, Refuse
from tests.pipeline.pipelines import HOLD_SECONDS, VISIBILITY_SECONDS, Stage

HOUR_SECONDS = 3600


class AwayStore(FakeStore):
    """Away until told otherwise: it refuses writes, and pings as well where it is out of reach."""

    def __init__(self, treatment: Treatment, *, answers_pings: bool) -> None:
        super().__init__()
        self.is_away = True
        self._error = failing(treatment)
        self._answers_pings = answers_pings

    async def store(self, rows: tuple[ObjectEvent, ...]) -> int:  # type: ignore[override]  # narrower is what the line sends
        """Refused while away."""
        self._refuse(self._error)
        return await super().store(rows)

    async def ping(self) -> None:
        """Answered, or not."""
        if not self._answers_pings:
            self._refuse(self._error)
        await super().ping()

    def _refuse(self, error: StoreError) -> None:
        if self.is_away:
            raise error


def stage_of(treatment: Treatment, *, answers_pings: bool) -> tuple[Stage, AwayStore]:
    """A line whose database is away from the start."""
    store = AwayStore(treatment, answers_pings=answers_pings)
    return Stage(store=store), store


def receive_counts(stage: Stage) -> list[int]:
    """How often each message that is left was received."""
    return sorted(kept.receive_count for kept in stage.queues.left(QUEUE))


def remembered(stage: Stage) -> list[Kept]:
    """Every message of the queue, to look at it after it was deleted."""
    return stage.queues.left(QUEUE)


async def test_an_outage_shorter_than_the_limit_costs_no_receive() -> None:
    """What was received before it is kept alive beyond its visibility, then stored: each message once received."""
    stage, store = stage_of(Treatment.RECONNECT, answers_pings=False)
    sent = stage.send(2000)
    every = remembered(stage)
    async with stage.running():
        await asyncio.sleep(HOLD_SECONDS - 30)
        assert HOLD_SECONDS > 2 * VISIBILITY_SECONDS
        assert stage.keys() == set()
        assert max(receive_counts(stage)) == 1
        store.is_away = False
        await asyncio.sleep(30)
        assert (stage.keys(), stage.left()) == (sent, 0)
    assert {kept.receive_count for kept in every} == {1}


async def test_five_seconds_after_the_database_is_back_the_line_is_at_full_speed() -> None:
    """However long it was away: everything that was sent meanwhile is through."""
    stage, store = stage_of(Treatment.RECONNECT, answers_pings=False)
    async with stage.running():
        stage.send(50)
        await asyncio.sleep(HOUR_SECONDS)
        sent = stage.send(1000)
        store.is_away = False
        await asyncio.sleep(5)
        assert stage.keys() == sent


async def test_when_the_database_is_out_of_reach_each_message_goes_back_once() -> None:
    """At the limit what is held goes back; until a knock is answered nothing is received any more."""
    stage, _ = stage_of(Treatment.RECONNECT, answers_pings=False)
    stage.send(2000)
    async with stage.running():
        await asyncio.sleep(3 * HOUR_SECONDS)
        assert max(receive_counts(stage)) == 1
        assert stage.is_dry()
        now = asyncio.get_running_loop().time()
        assert all(kept.visible_at <= now for kept in stage.queues.left(QUEUE))


@pytest.mark.usefixtures("untraced")
async def test_where_pings_are_answered_and_writes_refused_few_messages_are_received_in_vain() -> None:
    """As on a full disk, for hours: no message comes near a dead-letter queue."""
    stage, store = stage_of(Treatment.STOP, answers_pings=True)
    sent = stage.send(2000)
    async with stage.running():
        await asyncio.sleep(3 * HOUR_SECONDS)
        counts = receive_counts(stage)
        assert max(counts) <= 2
        assert sum(counts) < 2 * 2000
        store.is_away = False
        await asyncio.sleep(60)
        assert (stage.keys(), stage.left()) == (sent, 0)


async def test_what_is_held_too_long_by_an_operators_pause_goes_back_too() -> None:
    """Others may have it; when the pause ends it is received again and stored."""
    stage, store = stage_of(Treatment.RECONNECT, answers_pings=False)
    store.is_away = False
    async with stage.running():
        stage.line.limiter.pause()
        sent = stage.send(300)
        await asyncio.sleep(5)
        stage.leases.pause("operator")
        await asyncio.sleep(HOLD_SECONDS)
        now = asyncio.get_running_loop().time()
        assert all(kept.visible_at <= now for kept in stage.queues.left(QUEUE))
        assert len(stage.queues.left(QUEUE)) == 300
        stage.line.limiter.resume()
        stage.leases.resume("operator")
        await asyncio.sleep(10)
        assert (stage.keys(), stage.left()) == (sent, 0)


@pytest.mark.parametrize("fault", [None, Refuse(call_error("RequestThrottled")), FailAfterDoing(call_error())])
async def test_what_is_handed_back_at_the_limit_is_visible_soon_whatever_becomes_of_the_call(fault: Fault) -> None:
    """Its batch is given up at the same moment, and forgets none of it; each message is counted, and none as undone."""
    stage, _ = stage_of(Treatment.RECONNECT, answers_pings=False)
    stage.send(30)
    async with stage.running():
        await asyncio.sleep(HOLD_SECONDS - 1)
        stage.queues.script("change_visibility", *[fault] * 3)
        await asyncio.sleep(10)
        now = asyncio.get_running_loop().time()
        assert [kept.visible_at <= now for kept in stage.queues.left(QUEUE)] == [True] * 30
        name = queue_name(QUEUE)
        assert not stage.count("unsettled_messages_total", queue=name)
        if fault is None:
            assert stage.count("released_messages_total", queue=name) == 30


class StoreWithTrigger(FakeStore):
    """One of an operator's triggers raises for one key."""

    async def store(self, rows: tuple[ObjectEvent, ...]) -> int:  # type: ignore[override]  # narrower is what the line sends
        """Refused, if that key is among them."""
        if "bad" in {row.key for row in rows}:
            raise failing(Treatment.MAYBE_ROW)
        return await super().store(rows)


@pytest.mark.parametrize("limit", [4.0, 1.0, 0.05])
async def test_a_bad_message_that_comes_alone_holds_up_nobody(limit: float) -> None:
    """Nothing proves yet that it is to blame: a few messages are let in, and what becomes of them tells."""
    stage = Stage(limit=limit, store=StoreWithTrigger())
    stage.queues.send(QUEUE, [put_body("bad")])
    async with stage.running():
        await asyncio.sleep(60)
        sent = stage.send(30)
        await asyncio.sleep(60)
        assert (stage.keys(), stage.left(), len(stage.store.quarantined)) == (sent, 0, 1)
        assert not stage.line.breaker.is_ongoing


async def test_where_all_are_refused_few_are_let_in_to_tell() -> None:
    """One is held, and one poll of ten joins it: no more, and each is received once until the limit."""
    stage, _ = stage_of(Treatment.MAYBE_ROW, answers_pings=True)
    stage.send(1)
    async with stage.running():
        await asyncio.sleep(10)
        stage.send(2000, OTHER_QUEUE)
        stage.queues.send(QUEUE, [put_body(f"later/{number}") for number in range(2000)])
        await asyncio.sleep(HOLD_SECONDS - 20)
        counts = [kept.receive_count for queue in (QUEUE, OTHER_QUEUE) for kept in stage.queues.left(queue)]
        assert (max(counts), sum(counts)) == (1, 21)
        assert (stage.keys(), stage.store.quarantined) == (set(), {})
