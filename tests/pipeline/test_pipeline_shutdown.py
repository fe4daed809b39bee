"""Shutdown of the whole pipeline: at any moment, under any faults, it drains and loses nothing."""

from __future__ import annotations

import asyncio

import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriber.errors import Treatment
from tests.fakes.queues import FailEntries, Fault, call_error
from tests.fakes.samples import QUEUE, failing, put_body
from tests.fakes.store import Fail, FailAfterDoing, Hold
from tests.fakes.store import Fault as StoreFault
from tests.fakes.virtual_time import VirtualTimeLoop
from tests.pipeline.pipelines import Setup, cool_down_after_write


async def test_a_stop_when_idle_waits_only_for_open_polls() -> None:
    """They are not cancelled; the pipeline ends within one long poll."""
    setup = Setup()
    async with setup.running():
        await asyncio.sleep(45)
        begun = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - begun <= 20
    assert setup.queues.cancelled_polls == 0


async def test_a_stop_before_the_start_ends_at_once() -> None:
    """Nothing is received."""
    setup = Setup()
    setup.send(5)
    setup.pipeline.stop()
    await setup.pipeline.run()
    assert (setup.queues.polls, setup.left()) == ([], 5)


async def test_a_stop_under_load_stores_held_messages_and_releases_the_rest() -> None:
    """Every message that is not stored is visible to other consumers."""
    setup = Setup()
    sent = setup.send(10_000)
    async with setup.running():
        await asyncio.sleep(0.1)
        setup.pipeline.stop()
    assert setup.is_drained()
    assert 0 < len(setup.keys()) < 10_000
    left = {kept.body for kept in setup.queues.left(QUEUE)}
    assert left == {put_body(key) for key in sent - setup.keys()}
    now = asyncio.get_running_loop().time()
    assert all(kept.visible_at <= now for kept in setup.queues.left(QUEUE))


async def test_a_stop_ends_cool_downs() -> None:
    """Held messages are written at once, whatever the limit."""
    setup = Setup(limit=0.05)
    async with setup.running():
        await cool_down_after_write(setup)
        sent = setup.send(10)
        await asyncio.sleep(0.1)
        setup.pipeline.stop()
        await asyncio.sleep(0.1)
        assert setup.keys() >= sent


async def test_a_stop_during_an_outage_releases_at_once() -> None:
    """Nothing waits for the database: after its last open poll the pipeline is drained and its messages are visible."""
    setup = Setup()
    setup.store.script(*[Fail(failing(Treatment.RECONNECT))] * 1000)
    setup.store.script(*[Fail(failing(Treatment.RECONNECT))] * 1000, call="ping")
    setup.send(1000)
    async with setup.running():
        await asyncio.sleep(30)
        assert setup.leases.messages_held > 0
        begun = asyncio.get_running_loop().time()
    now = asyncio.get_running_loop().time()
    assert now - begun < 1
    assert setup.is_drained()
    assert (setup.left(), setup.queues.deleted) == (1000, [])
    assert all(kept.visible_at <= now for kept in setup.queues.left(QUEUE))


async def test_after_a_hard_stop_received_messages_that_are_not_settled_are_outstanding() -> None:
    """Every received message is either outstanding or deleted."""
    setup = Setup()
    setup.store.script(None, None, Hold())
    setup.send(1000)
    task = asyncio.create_task(setup.pipeline.run(), name="pipeline")
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    outstanding = {handle for _, handles in setup.leases.outstanding() for handle in handles}
    deleted = {handle for handles in setup.queues.deleted for handle in handles}
    in_flight = {kept.handle for kept in setup.queues.left(QUEUE) if kept.receive_count}
    assert outstanding == in_flight
    assert outstanding
    assert not outstanding & deleted


QUEUE_FAULTS = st.one_of(
    st.none(), st.sampled_from([Fail(call_error()), FailAfterDoing(call_error()), FailEntries({0: "InternalError"})])
)
STORE_FAULTS = st.none() | st.sampled_from(
    [Treatment.RETRY, Treatment.RECONNECT, Treatment.BACK_OFF, Treatment.CREDENTIALS, Treatment.STOP]
).flatmap(lambda one: st.sampled_from([Fail(failing(one)), FailAfterDoing(failing(one))]))


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
def test_stopped_at_any_moment_under_any_faults_the_pipeline_drains_and_loses_nothing(
    count: int,
    stop_after: float,
    limit: float,
    faults: dict[str, list[Fault]],
    store_faults: list[StoreFault],
    ping_faults: list[StoreFault],
) -> None:
    """Each message is stored if it is deleted, otherwise still in the queue; given time, all of them are stored."""

    async def scenario() -> None:
        setup = Setup(limit=limit)
        for call in ("receive", "release", "delete", "change_visibility"):
            setup.queues.script(call, *faults[call])
        setup.store.script(*store_faults)
        setup.store.script(*ping_faults, call="ping")
        sent = setup.send(count)
        with structlog.testing.capture_logs() as log:
            async with setup.running():
                await asyncio.sleep(stop_after)
        # Messages whose release failed stay outstanding: the process releases them once more before it ends.
        assert setup.is_drained() != ("messages.not_released" in {line["event"] for line in log})
        left = {kept.body for kept in setup.queues.left(QUEUE)}
        assert {put_body(key) for key in sent - setup.keys()} <= left
        if stop_after == 5000:
            assert (setup.keys(), left) == (sent, set())

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())
