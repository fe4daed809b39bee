"""What the gate tells of itself: how much it was used, how long a due write had to wait, and that a pause holds."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.flow.limiter import Gate
from subscriber.signals import GateUsage
from tests.fakes.virtual_time import VirtualTimeLoop, settle


@given(stays=st.lists(st.tuples(st.floats(0, 3), st.floats(0.01, 3)), max_size=12), places=st.integers(1, 4))
def test_use_is_the_sum_of_all_stays(stays: list[tuple[float, float]], places: int) -> None:
    """Whatever comes and goes, place-seconds are the seconds that every one of them was inside."""

    async def scene() -> None:
        gate = Gate(places)
        clock = asyncio.get_running_loop().time
        inside = 0.0

        async def write(pause_seconds: float, work_seconds: float) -> None:
            nonlocal inside
            await asyncio.sleep(pause_seconds)
            await gate.enter()
            entered_at = clock()
            await asyncio.sleep(work_seconds)
            gate.leave(clock() - entered_at)
            inside += clock() - entered_at

        async with asyncio.TaskGroup() as group:
            for stay in stays:
                group.create_task(write(*stay), name="write")
        assert gate.usage().place_seconds == pytest.approx(inside)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scene())


async def test_an_idle_gate_uses_nothing() -> None:
    """Whatever its limit, and however long."""
    gate = Gate(8)
    await asyncio.sleep(1000)
    assert gate.usage() == GateUsage(place_seconds=0, shortage_seconds=0)


async def test_waiting_for_a_place_is_a_shortage() -> None:
    """From when a writer begins to wait to when it is let in; the use goes on meanwhile."""
    gate = Gate(1)
    await gate.enter()
    await asyncio.sleep(1)
    waiting = asyncio.create_task(gate.enter(), name="enter")
    await asyncio.sleep(2)
    assert gate.usage() == GateUsage(place_seconds=3, shortage_seconds=2)
    gate.leave(3)
    await waiting
    await asyncio.sleep(4)
    assert gate.usage() == GateUsage(place_seconds=7, shortage_seconds=2)


async def test_a_due_batch_that_waits_outside_is_a_shortage_too() -> None:
    """Noted once or often, it lasts until a place is next taken."""
    gate = Gate(1)
    await gate.enter()
    gate.note_shortage()
    await asyncio.sleep(1)
    gate.note_shortage()
    await asyncio.sleep(1)
    gate.leave(2)
    await gate.enter()
    await asyncio.sleep(5)
    assert gate.usage().shortage_seconds == 2


async def test_a_rest_that_keeps_a_writer_waiting_is_a_shortage() -> None:
    """The limit is what makes it rest, so the limit was reached."""
    gate = Gate(0.5)
    await gate.enter()
    await asyncio.sleep(0.4)
    gate.leave(0.4)
    await gate.enter()
    assert gate.usage().shortage_seconds == pytest.approx(0.4)


async def test_a_paused_gate_lets_nobody_in_whatever_the_limit() -> None:
    """Who is inside finishes; who waits is let in by the resume, and a shortage of the operator's making is none."""
    gate = Gate(2)
    await gate.enter()
    gate.pause()
    assert not gate.has_room
    waiting = asyncio.create_task(gate.enter(), name="enter")
    gate.leave(0.1)
    gate.set_limit(8)
    await asyncio.sleep(60)
    assert (gate.at_work, waiting.done()) == (0, False)
    gate.resume()
    await settle()
    assert (gate.at_work, waiting.done()) == (1, True)
    assert gate.usage().shortage_seconds == 0


async def test_resuming_rings() -> None:
    """Who watches for room hears that there is some again."""
    gate, rings = Gate(1), 0

    def ring() -> None:
        nonlocal rings
        rings += 1

    gate.watch(ring)
    gate.pause()
    assert rings == 0
    gate.resume()
    assert rings == 1


async def test_draining_ends_a_pause_for_good() -> None:
    """A line that runs dry is held up neither by a pause before nor by one after."""
    gate = Gate(1)
    gate.pause()
    gate.drain()
    assert gate.has_room
    gate.pause()
    assert gate.has_room


async def test_who_gives_up_waiting_leaves_no_shortage_behind() -> None:
    """The gate is idle afterwards, and a governor must not take that for work that waits."""
    gate = Gate(1)
    await gate.enter()
    waiter = asyncio.create_task(gate.enter(), name="waits")
    await asyncio.sleep(2)
    waiter.cancel()
    await asyncio.wait([waiter])
    gate.leave(2.0, rest=False)
    short = gate.usage().shortage_seconds
    await asyncio.sleep(100)
    assert (short, gate.usage().shortage_seconds) == (2.0, 2.0)
