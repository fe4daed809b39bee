"""How the process is told to end, and work that gives way to it."""

from __future__ import annotations

import asyncio
import signal

import pytest

from subscriber.flow.shutdown import StopRequest, unless
from tests.fakes.virtual_time import settle


async def test_once_is_please_and_twice_is_now() -> None:
    """The first request asks, the second urges, a third changes nothing."""
    stop = StopRequest()
    assert (stop.asked.is_set(), stop.urged.is_set()) == (False, False)
    stop.ask()
    assert (stop.asked.is_set(), stop.urged.is_set()) == (True, False)
    stop.ask()
    stop.ask()
    assert (stop.asked.is_set(), stop.urged.is_set()) == (True, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_both_signals_ask(number: signal.Signals) -> None:
    """SIGTERM from a scheduler and SIGINT from a keyboard mean the same."""
    stop = StopRequest()
    stop.install()
    loop = asyncio.get_running_loop()
    try:
        signal.raise_signal(number)
        await stop.asked.wait()
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        loop.remove_signal_handler(signal.SIGINT)


async def test_work_that_ends_first_gives_its_result() -> None:
    """The event was not needed."""

    async def work() -> int:
        await asyncio.sleep(1)
        return 7

    assert await unless(asyncio.Event(), work()) == 7


async def test_the_event_ends_the_work_and_waits_for_its_end() -> None:
    """The work is cancelled, and `unless` returns only after it has cleaned up."""
    event, steps = asyncio.Event(), list[str]()

    async def work() -> int:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(1)
            steps.append("cleaned up")
        return 7

    asyncio.get_running_loop().call_later(2, event.set)
    assert await unless(event, work()) is None
    assert steps == ["cleaned up"]


async def test_what_the_work_raises_is_raised() -> None:
    """A failure is not mistaken for a stop."""

    async def work() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await unless(asyncio.Event(), work())


async def test_cancelling_the_wait_cancels_the_work() -> None:
    """Nothing is left running behind a caller who has gone."""
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    waiting = asyncio.create_task(unless(asyncio.Event(), work()), name="unless")
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()
    assert asyncio.all_tasks() == {asyncio.current_task()}
