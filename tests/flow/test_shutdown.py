"""Stop requests, and work that they cancel."""

from __future__ import annotations

import asyncio
import signal

import pytest

from subscriber.flow.shutdown import StopRequest, run_until
from tests.fakes.virtual_time import settle


async def test_the_first_request_asks_and_the_second_forces() -> None:
    """A third one changes nothing."""
    stop = StopRequest()
    assert (stop.requested.is_set(), stop.forced.is_set()) == (False, False)
    stop.request()
    assert (stop.requested.is_set(), stop.forced.is_set()) == (True, False)
    stop.request()
    stop.request()
    assert (stop.requested.is_set(), stop.forced.is_set()) == (True, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_both_signals_request_a_stop(number: signal.Signals) -> None:
    """SIGTERM from a scheduler and SIGINT from a keyboard mean the same."""
    stop = StopRequest()
    stop.install()
    loop = asyncio.get_running_loop()
    try:
        signal.raise_signal(number)
        await stop.requested.wait()
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        loop.remove_signal_handler(signal.SIGINT)


async def test_work_that_ends_first_returns_its_result() -> None:
    """The event is not set."""

    async def work() -> int:
        await asyncio.sleep(1)
        return 7

    assert await run_until(asyncio.Event(), work()) == 7


async def test_the_event_cancels_the_work_and_waits_for_its_end() -> None:
    """The work is cancelled, and `run_until` returns only after it has cleaned up."""
    event, steps = asyncio.Event(), list[str]()

    async def work() -> int:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(1)
            steps.append("cleaned up")
        return 7

    asyncio.get_running_loop().call_later(2, event.set)
    assert await run_until(event, work()) is None
    assert steps == ["cleaned up"]


async def test_an_exception_of_the_work_is_raised() -> None:
    """A failure is not mistaken for a stop."""

    async def work() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await run_until(asyncio.Event(), work())


async def test_cancelling_the_wait_cancels_the_work() -> None:
    """No task is left behind a cancelled caller."""
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    waiting = asyncio.create_task(run_until(asyncio.Event(), work()), name="run_until")
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()
    assert asyncio.all_tasks() == {asyncio.current_task()}
