"""The regulator: once a second one reading, one decision, and two numbers set."""

from __future__ import annotations

import asyncio

import msgspec

from subscriber.control.governor.setpoints import ROWS_AT_LEAST
from tests.control.loop import BUDGET_AT_LEAST, OPTIONS, FakeSensor, Stage, load


def stored(stage: Stage) -> None:
    """A quick statement has succeeded."""
    stage.tally.statements += 1
    stage.tally.seconds += 0.1


async def test_a_burst_of_failures_is_one_decision() -> None:
    """All that failed within a second halves the limit once; five seconds after the last it comes back by quarters."""
    stage = Stage()
    async with stage.running() as begun:
        stage.tally.failures += 50
        for _ in range(11):
            await asyncio.sleep(1)
            stored(stage)
    assert stage.limiter.changes == [
        (begun + 1, 4),
        (begun + 6, 5),
        (begun + 7, 6.25),
        (begun + 8, 7.8125),
        (begun + 9, 8),
    ]


async def test_failures_that_go_on_brake_every_five_seconds() -> None:
    """Down to the floor, never below: what was at work when the limit was cut has had the time to end."""
    stage = Stage()
    async with stage.running():
        for _ in range(60):
            stage.tally.failures += 1
            stored(stage)
            await asyncio.sleep(1)
    limits = [limit for _, limit in stage.limiter.changes]
    assert limits == [4, 2, 1, 0.5, 0.25, 0.125, 0.0625, 0.05]


async def test_nothing_moves_in_an_outage() -> None:
    """Seconds without failures are no sign of health while nothing succeeds."""
    stage = Stage()
    async with stage.running() as begun:
        stage.tally.failures += 8
        await asyncio.sleep(60)
        assert stage.limiter.changes == [(begun + 1, 4)]
        stored(stage)
        await asyncio.sleep(60)
    assert stage.limiter.limit == 8


async def test_slow_statements_brake() -> None:
    """By their mean in the second that they ended."""
    stage = Stage()
    async with stage.running():
        stage.tally.statements += 2
        stage.tally.seconds += 25
        await asyncio.sleep(1)
    assert [round(limit, 6) for _, limit in stage.limiter.changes] == [5.6]


async def test_a_steady_limit_is_not_set_again() -> None:
    """Setting it would wake everybody at the limiter for nothing."""
    stage = Stage()
    async with stage.running():
        await asyncio.sleep(100)
    assert stage.limiter.changes == []
    assert len(stage.leases.budgets) == 100


async def test_the_budget_follows_two_seconds_of_stored_rows() -> None:
    """Smoothed, so that one good second is not taken for granted; never below two batches."""
    stage = Stage()
    async with stage.running():
        for rows in (0, 4000, 4000, 4000, 0, 0):
            stage.tally.rows += rows
            await asyncio.sleep(1)
    assert stage.leases.budgets == [BUDGET_AT_LEAST, 4000, 6000, 7000, 3500, BUDGET_AT_LEAST]


async def test_batches_are_as_large_as_the_governor_says() -> None:
    """From the first moment, when nothing is known yet; under an operator's limit by what is known."""
    options = msgspec.structs.replace(OPTIONS, has_load_signal=True)
    sensor = FakeSensor(lambda: load(50.0))
    stage = Stage(sensor, options)
    async with stage.running():
        assert stage.batches.sizes == [ROWS_AT_LEAST]
        for _ in range(5):
            stage.tally.rows += 1000
            await asyncio.sleep(1)
        decided = len(stage.batches.sizes)
        assert stage.batches.sizes[-1] == options.batch_max_rows
        stage.apply("limit", 0.5)
        await asyncio.sleep(3)
        assert stage.batches.sizes[decided:] == [options.batch_max_rows]
