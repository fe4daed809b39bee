"""The operator's hands: what a command is, what comes of it, and that nothing else does."""

from __future__ import annotations

import asyncio
import math

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from subscriber.control.overrides import EXPECTED, Command, CommandError, DesiredState, command_from, desired_after
from tests.control.loop import Stage
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
def test_anything_else_is_refused_with_what_is_expected(body: bytes) -> None:
    """In one line."""
    with pytest.raises(CommandError) as refusal:
        command_from(body)
    assert str(refusal.value).endswith(EXPECTED)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("limit", [0.0, 0.049, 8.1, -1.0, math.inf, math.nan])
def test_a_limit_out_of_bounds_is_refused_with_the_bounds(limit: float) -> None:
    """In the operator's own words for them."""
    with pytest.raises(CommandError, match=r"MIN_CONCURRENCY is 0\.05, SUBSCRIBER_WRITE_MAX_CONCURRENCY is 8"):
        desired_after(DesiredState(), Command("limit", limit), 0.05, 8)


@pytest.mark.parametrize("command", [Command("limit"), Command("pause", 2), Command("auto", 2)])
def test_a_limit_belongs_to_its_word(command: Command) -> None:
    """Neither without the other."""
    with pytest.raises(CommandError):
        desired_after(DesiredState(), command, 0.05, 8)


def after_the_last_auto(commands: list[Command]) -> list[Command]:
    """What was commanded since the governor was last called."""
    last = max((at for at, command in enumerate(commands) if command.mode == "auto"), default=-1)
    return commands[last + 1 :]


@given(commands=st.lists(COMMANDS, max_size=8))
def test_pause_and_limit_do_not_touch_each_other(commands: list[Command]) -> None:
    """Paused is what was last said of pausing, fixed what was last fixed, and only `auto` ends both."""
    desired = DesiredState()
    for command in commands:
        desired = desired_after(desired, command, 0.05, 8)
    since = after_the_last_auto(commands)
    pauses = [command.mode for command in since if command.mode in {"pause", "resume"}]
    limits = [command.limit for command in since if command.mode == "limit"]
    assert desired.is_paused == (pauses[-1:] == ["pause"])
    assert desired.fixed_limit == (limits[-1] if limits else None)
    assert desired.mode == ("paused" if desired.is_paused else "fixed" if limits else "auto")


async def test_a_paused_line_begins_no_poll_and_no_write() -> None:
    """From the moment of the command, whatever the governor would do, until the resume."""
    stage = Stage()
    async with stage.running():
        stage.apply("pause")
        polling = asyncio.create_task(stage.leases.open(QUEUE), name="poll")
        writing = asyncio.create_task(stage.limiter.enter(), name="write")
        stage.tally.failures += 1
        await asyncio.sleep(10)
        assert (stage.limiter.changes, polling.done(), writing.done()) == ([], False, False)
        assert stage.regulator.status().mode == "paused"
        stage.apply("resume")
        await settle()
        assert (polling.done(), writing.done(), stage.regulator.status().mode) == (True, True, "auto")


async def test_an_outage_goes_on_behind_a_pause() -> None:
    """Resuming ends what the operator began and nothing else."""
    stage = Stage()
    async with stage.running():
        stage.leases.pause()
        stage.apply("pause")
        stage.apply("resume")
        polling = asyncio.create_task(stage.leases.open(QUEUE), name="poll")
        await asyncio.sleep(5)
        assert not polling.done()
        stage.leases.resume()
        await settle()
        assert polling.done()


async def test_a_fixed_limit_stays_whatever_happens() -> None:
    """Neither failures nor quiet seconds move it; the governor is not asked."""
    stage = Stage()
    async with stage.running():
        stage.apply("limit", 2)
        assert stage.limiter.limit == 2
        for _ in range(5):
            stage.tally.failures += 10
            await asyncio.sleep(1)
        await asyncio.sleep(60)
        assert (stage.limiter.limit, stage.regulator.status().mode) == (2, "fixed")
        assert stage.metric("decisions_total", reason="failures") is None


async def test_the_governor_goes_on_from_the_limit_in_force() -> None:
    """No leap back to where it was before."""
    stage = Stage()
    async with stage.running() as begun:
        stage.apply("limit", 2)
        await asyncio.sleep(10)
        stage.limiter.changes.clear()
        stage.apply("auto")
        assert stage.limiter.limit == 2
        await asyncio.sleep(2)
        assert stage.limiter.changes == [(begun + 11, 2.5), (begun + 12, 3.125)]


async def test_a_limit_chosen_in_a_pause_counts_once_it_is_over() -> None:
    """The pause goes on, and ends in the fixed limit."""
    stage = Stage()
    async with stage.running():
        stage.apply("pause")
        stage.apply("limit", 1)
        assert (stage.limiter.has_capacity, stage.regulator.status().mode) == (False, "paused")
        stage.apply("resume")
        await asyncio.sleep(10)
        assert (stage.limiter.has_capacity, stage.limiter.limit, stage.regulator.status().mode) == (True, 1, "fixed")


async def test_a_refused_command_changes_nothing() -> None:
    """Not the mode, not the limit, and no note is taken of it."""
    stage = Stage()
    async with stage.running():
        before = stage.regulator.status()
        with pytest.raises(CommandError):
            stage.apply("limit", 9)
        assert stage.regulator.status() == before


async def test_a_command_is_logged_counted_and_noted() -> None:
    """One line, the gauge of the modes, and a note among the decisions."""
    stage = Stage()
    async with stage.running():
        with structlog.testing.capture_logs() as lines:
            stage.apply("limit", 0.5)
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
        modes = {mode: stage.metric("control_mode", mode=mode) for mode in ("auto", "fixed", "paused")}
        assert modes == {"auto": 0, "fixed": 1, "paused": 0}
        newest = stage.regulator.status().decisions[0]
        assert (newest.reason, newest.limit, newest.was) == ("operator_limit", 0.5, 8)
