"""The whole line, when it is stopped: at any moment, under any faults, it runs dry and loses nothing."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from subscriber.errors import Treatment
from tests.fakes.queues import FailEntries, Fault, call_error
from tests.fakes.samples import QUEUE, failing, put_body
from tests.fakes.store import FailAfterDoing, Hold, Refuse
from tests.fakes.store import Fault as StoreFault
from tests.fakes.virtual_time import VirtualTimeLoop
from tests.pipeline.pipelines import Stage, rest_of


async def test_a_stop_when_idle_waits_for_the_open_polls_only() -> None:
    """They are not cancelled; within one long poll the line has ended."""
    stage = Stage()
    async with stage.running():
        await asyncio.sleep(45)
        begun = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - begun <= 20
    assert stage.queues.cancelled_polls == 0


async def test_a_stop_before_the_start_is_an_end() -> None:
    """Told to stop before anything was received, it receives nothing."""
    stage = Stage()
    stage.send(5)
    stage.line.stop()
    await stage.line.run()
    assert (stage.queues.polls, stage.left()) == ([], 5)


async def test_a_stop_in_a_flood_stores_what_is_held_and_hands_back_the_rest() -> None:
    """Nothing new is begun, nothing is forgotten: what is not stored is visible for others."""
    stage = Stage()
    sent = stage.send(10_000)
    async with stage.running():
        await asyncio.sleep(0.1)
        stage.line.stop()
    assert stage.is_dry()
    assert 0 < len(stage.keys()) < 10_000
    left = {kept.body for kept in stage.queues.left(QUEUE)}
    assert left == {put_body(key) for key in sent - stage.keys()}
    now = asyncio.get_running_loop().time()
    assert all(kept.visible_at <= now for kept in stage.queues.left(QUEUE))


async def test_a_stop_ends_the_rests_of_the_gate() -> None:
    """What is held is written at once, whatever the limit would have had it wait."""
    stage = Stage(limit=0.05)
    async with stage.running():
        await rest_of(stage)
        sent = stage.send(10)
        await asyncio.sleep(0.1)
        stage.line.stop()
        await asyncio.sleep(0.1)
        assert stage.keys() >= sent


async def test_a_stop_in_an_outage_hands_back_at_once() -> None:
    """Nobody waits for the database: with its last open poll the line is dry, and what it held is visible."""
    stage = Stage()
    stage.store.script(*[Refuse(failing(Treatment.RECONNECT))] * 1000)
    stage.store.script(*[Refuse(failing(Treatment.RECONNECT))] * 1000, call="ping")
    stage.send(1000)
    async with stage.running():
        await asyncio.sleep(30)
        assert stage.leases.messages_held > 0
        begun = asyncio.get_running_loop().time()
    now = asyncio.get_running_loop().time()
    assert now - begun < 1
    assert stage.is_dry()
    assert (stage.left(), stage.queues.deleted) == (1000, [])
    assert all(kept.visible_at <= now for kept in stage.queues.left(QUEUE))


async def test_a_hard_stop_leaves_on_the_book_what_was_received_and_not_settled() -> None:
    """Cancelled in the middle of everything, what is outstanding and what is deleted are all that was received."""
    stage = Stage()
    stage.store.script(None, None, Hold())
    stage.send(1000)
    line = asyncio.create_task(stage.line.run(), name="line")
    await asyncio.sleep(1)
    line.cancel()
    await asyncio.wait([line])
    outstanding = {handle for _, handles in stage.leases.outstanding() for handle in handles}
    deleted = {handle for handles in stage.queues.deleted for handle in handles}
    in_flight = {kept.handle for kept in stage.queues.left(QUEUE) if kept.receive_count}
    assert outstanding == in_flight
    assert outstanding
    assert not outstanding & deleted


QUEUE_FAULTS = st.one_of(
    st.none(), st.sampled_from([Refuse(call_error()), FailAfterDoing(call_error()), FailEntries({0: "InternalError"})])
)
STORE_FAULTS = st.none() | st.sampled_from(
    [Treatment.RETRY, Treatment.RECONNECT, Treatment.BACK_OFF, Treatment.CREDENTIALS, Treatment.STOP]
).flatmap(lambda one: st.sampled_from([Refuse(failing(one)), FailAfterDoing(failing(one))]))


@settings(deadline=None, max_examples=60)
@given(
    count=st.integers(0, 300),
    stop_after=st.sampled_from([0.0, 0.005, 0.015, 0.05, 0.3, 2.0, 30.0, 5000.0]),
    limit=st.sampled_from([0.1, 1.0, 4.0]),
    faults=st.fixed_dictionaries(
        {call: st.lists(QUEUE_FAULTS, max_size=12) for call in ("receive", "release", "delete", "change_visibility")}
    ),
    store_faults=st.lists(STORE_FAULTS, max_size=12),
    ping_faults=st.lists(STORE_FAULTS, max_size=6),
)
def test_stopped_at_any_moment_under_any_faults_it_runs_dry_and_loses_nothing(
    count: int,
    stop_after: float,
    limit: float,
    faults: dict[str, list[Fault]],
    store_faults: list[StoreFault],
    ping_faults: list[StoreFault],
) -> None:
    """Each message is stored if it is deleted, else still in the queue; given time, all of them are stored."""

    async def scene() -> None:
        stage = Stage(limit=limit)
        for call in ("receive", "release", "delete", "change_visibility"):
            stage.queues.script(call, *faults[call])
        stage.store.script(*store_faults)
        stage.store.script(*ping_faults, call="ping")
        sent = stage.send(count)
        async with stage.running():
            await asyncio.sleep(stop_after)
        # What could not be handed back stays on the book: the process tries once more before it ends.
        assert stage.is_dry() or faults["release"]
        left = {kept.body for kept in stage.queues.left(QUEUE)}
        assert {put_body(key) for key in sent - stage.keys()} <= left
        if stop_after == 5000:
            assert (stage.keys(), left) == (sent, set())

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scene())
