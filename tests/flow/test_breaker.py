"""An outage: nothing is taken in, one probe knocks, and only what proves the database ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.errors import Treatment
from subscriber.flow.breaker import CircuitBreaker, probe_backoff
from tests.fakes.intake import Intake
from tests.fakes.store import FakeStore, Hold, Refuse, store_error
from tests.fakes.virtual_time import settle

LOST = store_error(Treatment.RECONNECT, "08006")


class Stage:
    """An outage with a probe that knocks at a fake store."""

    def __init__(self) -> None:
        self.intake = Intake()
        self.reported: list[float] = []
        self.store = FakeStore()
        self.probes: list[float] = []
        self.breaker = CircuitBreaker(self.intake, self.reported.append)

    def seen(self) -> tuple[bool, bool]:
        """Whether an outage is on, and whether the intake is paused."""
        return self.breaker.is_ongoing, self.intake.is_paused

    async def ping(self) -> None:
        """Knock, and remember when."""
        self.probes.append(asyncio.get_running_loop().time())
        await self.store.ping()

    @asynccontextmanager
    async def probing(self) -> AsyncIterator[None]:
        """The probe at work."""
        probe = asyncio.create_task(self.breaker.run(self.ping), name="probe")
        try:
            yield
            assert not probe.done()
        finally:
            probe.cancel()
            await asyncio.wait([probe])


@given(attempt=st.integers(0, 10_000), chance=st.floats(0, 1))
def test_pauses_double_to_two_seconds(attempt: int, chance: float) -> None:
    """Never less than half of a bound that doubles from 0.25 to 2 seconds, never more than all of it."""
    bound = min(2.0, 0.25 * 2 ** min(attempt, 20))
    assert bound / 2 <= probe_backoff(attempt, chance) <= bound


async def test_an_outage_stops_the_intake_and_who_would_write() -> None:
    """From the first failure on; a second one in the same outage changes nothing."""
    stage = Stage()
    await stage.breaker.may_try()
    stage.breaker.begin(LOST)
    stage.breaker.begin(LOST)
    assert stage.seen() == (True, True)
    assert stage.reported == [1, 0]
    trying = asyncio.create_task(stage.breaker.may_try(), name="try")
    await settle()
    assert not trying.done()
    stage.breaker.end()
    await trying
    assert stage.seen() == (False, False)
    assert stage.reported == [1, 0, 1]


async def test_success_without_an_outage_is_no_news() -> None:
    """The end is reported once, when there was something to end."""
    stage = Stage()
    stage.breaker.end()
    assert stage.reported == [1]


async def test_the_probe_backs_off_while_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Knocks come after 0.25, 0.5, 1 seconds and then every two; before an outage there is none."""
    monkeypatch.setattr("random.random", lambda: 1.0)
    stage = Stage()
    stage.store.script(*[Refuse(LOST)] * 8, call="ping")
    async with stage.probing():
        await asyncio.sleep(100)
        assert stage.probes == []
        stage.breaker.begin(LOST)
        begun = asyncio.get_running_loop().time()
        await asyncio.sleep(100)
    pauses = [after - before for before, after in zip([begun, *stage.probes], stage.probes, strict=False)]
    assert pauses == [0.25, 0.5, 1, 2, 2, 2, 2, 2, 2]


async def test_without_a_writer_the_answer_ends_the_outage() -> None:
    """Nobody holds anything that could prove more than a ping does."""
    stage = Stage()
    async with stage.probing():
        stage.breaker.begin(LOST)
        await asyncio.sleep(1)
        assert stage.seen() == (False, False)
        assert stage.reported == [1, 0, 1]


async def test_an_answer_alone_lets_the_intake_in_on_trial() -> None:
    """Until a write has succeeded, which is the proof."""
    stage = Stage()
    async with stage.probing():
        stage.breaker.begin(LOST)
        await asyncio.sleep(1)
        assert (stage.intake.is_paused, stage.intake.is_on_probation) == (False, True)
        stage.breaker.end()
        assert (stage.intake.is_paused, stage.intake.is_on_probation) == (False, False)
    assert stage.reported == [1, 0, 1]


async def test_who_stops_waits_for_no_database() -> None:
    """Neither in an outage nor in one that begins later; without an outage there is nothing to wait for."""
    stage = Stage()
    stage.breaker.begin(LOST)
    waiting = asyncio.create_task(stage.breaker.may_try(), name="try")
    await settle()
    stage.breaker.stop()
    assert not await waiting
    stage.breaker.end()
    assert await stage.breaker.may_try()
    stage.breaker.begin(LOST)
    assert not await stage.breaker.may_try()


async def test_with_a_writer_the_answer_lets_it_try_and_success_ends_it() -> None:
    """A database that answers a ping may still refuse every write, so the intake waits for the write."""
    stage = Stage()
    async with stage.probing(), stage.breaker.holding():
        stage.breaker.begin(LOST)
        await stage.breaker.may_try()
        await asyncio.sleep(100)
        assert stage.seen() == (True, True)
        assert len(stage.probes) == 1
        stage.breaker.end()
        assert stage.seen() == (False, False)


async def test_a_writer_that_fails_again_sends_the_probe_again_with_longer_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Answered pings are no reason to hurry while writes are refused; success makes the next outage start afresh."""
    monkeypatch.setattr("random.random", lambda: 1.0)
    stage = Stage()
    waits = []
    clock = asyncio.get_running_loop().time
    async with stage.probing(), stage.breaker.holding():
        for _ in range(4):
            begun = clock()
            stage.breaker.begin(LOST)
            await stage.breaker.may_try()
            waits.append(clock() - begun)
        stage.breaker.end()
        begun = clock()
        stage.breaker.begin(LOST)
        await stage.breaker.may_try()
        waits.append(clock() - begun)
    assert waits == [0.25, 0.5, 1, 2, 0.25]


async def test_a_write_that_is_refused_again_and_again_lets_the_intake_in_on_trial() -> None:
    """What is held may be to blame: a few others are to tell. It takes three answered knocks, and is done once."""
    stage = Stage()
    async with stage.probing(), stage.breaker.holding():
        seen = []
        for _ in range(5):
            stage.breaker.begin(LOST)
            seen.append(stage.intake.is_on_probation)
            stage.breaker.begin(LOST)  # of a write that was under way: no knock let it through
            await stage.breaker.may_try()
        assert seen == [False, False, False, True, True]
        assert stage.breaker.is_ongoing
        stage.breaker.end()
        assert (stage.intake.is_paused, stage.intake.is_on_probation) == (False, False)


async def test_a_writer_that_gives_up_does_not_leave_the_line_waiting() -> None:
    """The ping was answered, the last writer goes without having succeeded: the probe knocks again and ends it."""
    stage = Stage()
    async with stage.probing():
        async with stage.breaker.holding():
            stage.breaker.begin(LOST)
            await stage.breaker.may_try()
        assert stage.seen() == (True, True)
        await asyncio.sleep(30)
        assert stage.seen() == (False, False)
        assert len(stage.probes) == 2


async def test_success_before_the_knock_spares_it() -> None:
    """Who has returned by itself is not asked."""
    stage = Stage()
    async with stage.probing():
        stage.breaker.begin(LOST)
        await settle()
        stage.breaker.end()
        await asyncio.sleep(30)
    assert stage.probes == []


async def test_success_during_a_knock_counts() -> None:
    """A write in flight succeeded while the probe waited for its answer: there is nothing left to end."""
    stage = Stage()
    hold = Hold()
    stage.store.script(hold, call="ping")
    async with stage.probing():
        stage.breaker.begin(LOST)
        await hold.reached.wait()
        stage.breaker.end()
        hold.release()
        await asyncio.sleep(30)
    assert stage.reported == [1, 0, 1]
    assert len(stage.probes) == 1
    assert not stage.intake.is_on_probation
