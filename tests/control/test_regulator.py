"""The regulator: once a second one reading, one decision, and two numbers set."""

from __future__ import annotations

import asyncio

from tests.control.stage import BUDGET_AT_LEAST, Stage


async def test_a_burst_of_failures_is_one_decision() -> None:
    """All that failed within a second halves the limit once; the next quiet seconds give it back."""
    stage = Stage()
    async with stage.running() as begun:
        stage.tally.failures += 50
        await asyncio.sleep(6)
    assert stage.gate.changes == [
        (begun + 1, 4),
        (begun + 2, 5),
        (begun + 3, 6.25),
        (begun + 4, 7.8125),
        (begun + 5, 8),
    ]


async def test_failures_that_go_on_brake_every_second() -> None:
    """Down to the floor, never below."""
    stage = Stage()
    async with stage.running():
        for _ in range(12):
            stage.tally.failures += 1
            await asyncio.sleep(1)
    limits = [limit for _, limit in stage.gate.changes]
    assert limits[:4] == [4, 2, 1, 0.5]
    assert limits[-1] == 0.05
    assert len(limits) == 8


async def test_slow_statements_brake() -> None:
    """By their mean in the second that they ended."""
    stage = Stage()
    async with stage.running():
        stage.tally.statements += 2
        stage.tally.seconds += 25
        await asyncio.sleep(1)
    assert [round(limit, 6) for _, limit in stage.gate.changes] == [5.6]


async def test_a_steady_limit_is_not_set_again() -> None:
    """Setting it would wake everybody at the gate for nothing."""
    stage = Stage()
    async with stage.running():
        await asyncio.sleep(100)
    assert stage.gate.changes == []
    assert len(stage.leases.budgets) == 100


async def test_the_budget_follows_two_seconds_of_stored_rows() -> None:
    """Smoothed, so that one good second is not taken for granted; never below two batches."""
    stage = Stage()
    async with stage.running():
        for rows in (0, 4000, 4000, 4000, 0, 0):
            stage.tally.rows += rows
            await asyncio.sleep(1)
    assert stage.leases.budgets == [BUDGET_AT_LEAST, 4000, 6000, 7000, 3500, BUDGET_AT_LEAST]
