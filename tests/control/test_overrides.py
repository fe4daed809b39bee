"""Operator overrides: the commands, their effects, and that they have no other effect."""

from __future__ import annotations

import asyncio
import math

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from subscriber.control.governor.own_times import FACTOR_FROM_ONE
from subscriber.control.overrides import EXPECTED, Command, CommandError, DesiredState, command_from, desired_after
from tests.control.loop import ControlLoop
from tests.fakes.samples import QUEUE
from tests.fakes.virtual_time import settle

COMMANDS = st.sampled_from([Command("pause"), Command("resume"), Command("auto")]) | st.floats(0.05, 8).map(
    lambda limit: Command("limit", limit)
)


@pytest.mark.parametrize(
    ("body", "command"),
    [
        (b'{"mode": "pause"}', Command("pause")),
        (b'{"mode":"limit","limit":2}', Command("limit", 2)),
        (b'{"mode": "limit", "limit": 0.25}', Command("limit", 0.25)),
    ],
)
def test_a_command_is_one_line_of_json(body: bytes, command: Command) -> None:
    """With a number where a number belongs."""
    assert command_from(body) == command


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"pause",
        b"[]",
        b"{}",
        b'{"mode": "stop"}',
        b'{"mode": "pause", "for": "ever"}',
        b'{"mode": "limit", "limit": "2"}',
        b'{"mode": "limit", "limit": true}',
        b'{"mode": "limit", "limit": NaN}',
        b'\xff{"mode": "pause"}',
        b'{"mode": "\xff"}',
        b"[" * 4000,
    ],
)
def test_any_other_body_is_rejected_with_the_expected_form(body: bytes) -> None:
    """In one line."""
    with pytest.raises(CommandError) as error:
        command_from(body)
    assert str(error.value).endswith(EXPECTED)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("limit", [0.0, 0.049, 8.1, -1.0, math.inf, math.nan])
def test_a_limit_out_of_bounds_is_rejected_with_the_bounds(limit: float) -> None:
    """By the names of their settings."""
    with pytest.raises(CommandError, match=r"MIN_CONCURRENCY is 0\.05, SUBSCRIBER_WRITE_MAX_CONCURRENCY is 8"):
        desired_after(DesiredState(), Command("limit", limit), 0.05, 8)


@pytest.mark.parametrize("command", [Command("limit"), Command("pause", 2), Command("auto", 2)])
def test_a_limit_needs_its_mode(command: Command) -> None:
    """Neither without the other."""
    with pytest.raises(CommandError):
        desired_after(DesiredState(), command, 0.05, 8)


def after_the_last_auto(commands: list[Command]) -> list[Command]:
    """The commands since the last `auto`."""
    last = max((at for at, command in enumerate(commands) if command.mode == "auto"), default=-1)
    return commands[last + 1 :]


@given(commands=st.lists(COMMANDS, max_size=8))
def test_pause_and_limit_are_independent(commands: list[Command]) -> None:
    """The last pause or resume decides whether it is paused, the last limit the limit, and only `auto` ends both."""
    desired = DesiredState()
    for command in commands:
        desired = desired_after(desired, command, 0.05, 8)
    since = after_the_last_auto(commands)
    pauses = [command.mode for command in since if command.mode in {"pause", "resume"}]
    limits = [command.limit for command in since if command.mode == "limit"]
    assert desired.is_paused == (pauses[-1:] == ["pause"])
    assert desired.fixed_limit == (limits[-1] if limits else None)
    assert desired.mode == ("paused" if desired.is_paused else "fixed" if limits else "auto")


async def test_a_paused_pipeline_starts_no_poll_and_no_write() -> None:
    """From the command until the resume, whatever the governor would decide."""
    control = ControlLoop()
    async with control.running():
        control.apply("pause")
        polling = asyncio.create_task(control.leases.open(QUEUE), name="poll")
        writing = asyncio.create_task(control.limiter.acquire(), name="write")
        control.tally.failures += 1
        await asyncio.sleep(10)
        assert (control.limiter.changes, polling.done(), writing.done()) == ([], False, False)
        assert control.regulator.status().mode == "paused"
        control.apply("resume")
        await settle()
        assert (polling.done(), writing.done(), control.regulator.status().mode) == (True, True, "auto")


async def test_a_resume_does_not_end_an_outage() -> None:
    """It ends the operator's pause and nothing else."""
    control = ControlLoop()
    async with control.running():
        control.leases.pause()
        control.apply("pause")
        control.apply("resume")
        polling = asyncio.create_task(control.leases.open(QUEUE), name="poll")
        await asyncio.sleep(5)
        assert not polling.done()
        control.leases.resume()
        await settle()
        assert polling.done()


async def test_a_fixed_limit_stays_whatever_happens() -> None:
    """Neither failures nor quiet seconds change it; the governor does not decide."""
    control = ControlLoop()
    async with control.running():
        control.apply("limit", 2)
        assert control.limiter.limit == 2
        for _ in range(5):
            control.tally.failures += 10
            await asyncio.sleep(1)
        await asyncio.sleep(60)
        assert (control.limiter.limit, control.regulator.status().mode) == (2, "fixed")
        assert control.metric("decisions_total", reason="failures") is None


async def test_the_governor_goes_on_from_the_limit_in_force() -> None:
    """It does not return to its own earlier limit."""
    control = ControlLoop()
    async with control.running() as begun:
        control.apply("limit", 2)
        await asyncio.sleep(10)
        control.limiter.changes.clear()
        control.apply("auto")
        assert control.limiter.limit == 2
        for _ in range(2):
            control.tally.statements += 20
            control.tally.seconds += 2
            control.tally.rows += 2000
            control.limiter.mark_saturated()
            await asyncio.sleep(1)
        assert [at for at, _ in control.limiter.changes] == [begun + 11, begun + 12]
        assert [limit for _, limit in control.limiter.changes] == pytest.approx(
            [2 * FACTOR_FROM_ONE, 2 * FACTOR_FROM_ONE**2]
        )


async def test_a_limit_fixed_during_a_pause_applies_after_it() -> None:
    """The pause goes on, and the fixed limit is in force after it."""
    control = ControlLoop()
    async with control.running():
        control.apply("pause")
        control.apply("limit", 1)
        assert (control.limiter.has_capacity, control.regulator.status().mode) == (False, "paused")
        control.apply("resume")
        await asyncio.sleep(10)
        assert (control.limiter.has_capacity, control.limiter.limit, control.regulator.status().mode) == (
            True,
            1,
            "fixed",
        )


async def test_a_rejected_command_changes_nothing() -> None:
    """Neither mode nor limit, nor the decision log."""
    control = ControlLoop()
    async with control.running():
        before = control.regulator.status()
        with pytest.raises(CommandError):
            control.apply("limit", 9)
        assert control.regulator.status() == before


async def test_a_command_is_logged_counted_and_noted() -> None:
    """One log line, the gauge of the modes, and a note among the decisions."""
    control = ControlLoop()
    async with control.running():
        with structlog.testing.capture_logs() as lines:
            control.apply("limit", 0.5)
        assert lines == [
            {
                "event": "control.applied",
                "log_level": "warning",
                "command": "limit",
                "mode": "fixed",
                "limit": 0.5,
                "was": 8,
            }
        ]
        modes = {mode: control.metric("control_mode", mode=mode) for mode in ("auto", "fixed", "paused")}
        assert modes == {"auto": 0, "fixed": 1, "paused": 0}
        newest = control.regulator.status().decisions[0]
        assert (newest.reason, newest.limit, newest.was) == ("operator_limit", 0.5, 8)
