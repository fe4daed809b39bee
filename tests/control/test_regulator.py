"""The regulator: once a second one reading, one decision, and the numbers that it sets."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from subscriber.control.governor.own_times import FACTOR_FROM_ONE
from subscriber.control.governor.setpoints import ROWS_AT_LEAST
from tests.control.loop import BUDGET_AT_LEAST, OPTIONS, ControlLoop, FakeSensor, load


def stored(control: ControlLoop, statements: int = 1) -> None:
    """Count quick statements that succeeded, while more are due."""
    control.tally.statements += statements
    control.tally.seconds += 0.1 * statements
    control.tally.rows += 100 * statements
    control.limiter.mark_saturated()


async def test_a_burst_of_failures_is_one_decision() -> None:
    """All failures of a second halve the limit once; five seconds later it grows again, a step a second."""
    control = ControlLoop()
    async with control.running() as begun:
        control.tally.failures += 50
        for _ in range(11):
            await asyncio.sleep(1)
            stored(control, 20)
    assert control.limiter.changes == [
        (begun + 1, 4),
        *((begun + 6 + step, pytest.approx(4 * FACTOR_FROM_ONE ** (step + 1))) for step in range(4)),
        (begun + 10, 8),
    ]


async def test_failures_that_go_on_brake_every_five_seconds() -> None:
    """Down to the lowest limit: the pause gives statements in progress at a cut time to end."""
    control = ControlLoop()
    async with control.running():
        for _ in range(60):
            control.tally.failures += 1
            stored(control)
            await asyncio.sleep(1)
    limits = [limit for _, limit in control.limiter.changes]
    assert limits == [4, 2, 1, 0.5, 0.25, 0.125, 0.0625, 0.05]


async def test_nothing_moves_in_an_outage() -> None:
    """As long as the circuit breaker says so; the failures that opened it lower the limit once."""
    control = ControlLoop()
    async with control.running() as begun:
        control.tally.failures += 8
        control.is_database_unavailable = True
        await asyncio.sleep(60)
        assert control.limiter.changes == [(begun + 1, 4)]
        assert control.metric("decisions_total", reason="outage") == 59
        control.is_database_unavailable = False
        for _ in range(20):
            stored(control, 20)
            await asyncio.sleep(1)
    assert control.limiter.limit == 8


async def test_a_failure_without_an_outage_is_over_after_five_seconds() -> None:
    """Though nothing is written in them."""
    control = ControlLoop()
    async with control.running() as begun:
        control.tally.failures += 1
        await asyncio.sleep(5)
        stored(control, 20)
        await asyncio.sleep(5)
    assert control.limiter.changes == [(begun + 1, 4), (begun + 6, pytest.approx(4 * FACTOR_FROM_ONE))]
    assert control.metric("decisions_total", reason="outage") is None


async def test_slow_statements_brake() -> None:
    """By their mean time in the second in which they ended."""
    control = ControlLoop()
    async with control.running():
        control.tally.statements += 2
        control.tally.seconds += 25
        await asyncio.sleep(1)
    assert [round(limit, 6) for _, limit in control.limiter.changes] == [5.6]


async def test_a_steady_limit_is_not_set_again() -> None:
    """Setting it would wake every waiter of the limiter needlessly."""
    control = ControlLoop()
    async with control.running():
        await asyncio.sleep(100)
    assert control.limiter.changes == []
    assert len(control.leases.budgets) == 100


async def test_the_budget_follows_two_seconds_of_stored_rows() -> None:
    """Smoothed, so that one fast second does not decide; never below the minimum."""
    control = ControlLoop()
    async with control.running():
        for rows in (0, 4000, 4000, 4000, 0, 0):
            control.tally.rows += rows
            await asyncio.sleep(1)
    assert control.leases.budgets == [BUDGET_AT_LEAST, 4000, 6000, 7000, 3500, BUDGET_AT_LEAST]


async def test_batches_are_as_large_as_the_governor_says() -> None:
    """From the start, when the row cost is unknown; under an operator's limit by the known cost."""
    options = msgspec.structs.replace(OPTIONS, has_load_signal=True)
    sensor = FakeSensor(lambda: load(50.0))
    control = ControlLoop(sensor, options)
    async with control.running():
        assert control.batch_sizes == [ROWS_AT_LEAST]
        for _ in range(5):
            control.tally.rows += 1000
            await asyncio.sleep(1)
        decided = len(control.batch_sizes)
        assert control.batch_sizes[-1] == options.batch_max_rows
        control.apply("limit", 0.5)
        await asyncio.sleep(3)
        assert control.batch_sizes[decided:] == [options.batch_max_rows]


async def test_without_a_sensor_a_new_task_begins_at_the_lowest_limit() -> None:
    """As with one; before the first reading too."""
    options = msgspec.structs.replace(OPTIONS, limit_at_least=0.5)
    control = ControlLoop(options=options, is_new=True)
    assert control.limiter.limit == 0.5
