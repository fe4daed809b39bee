"""Circuit breaker: an open circuit pauses polling, a probe pings, and only a successful write proves the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.errors import Treatment
from subscriber.flow.breaker import OPEN_AFTER_SECONDS, PROBATION_SECONDS, PROBE_BACKOFF, CircuitBreaker
from tests.fakes.leases import RecordingLeases
from tests.fakes.store import Fail, FakeStore, Hold, store_error
from tests.fakes.virtual_time import settle

UNREACHABLE = store_error(Treatment.RECONNECT, "08006")


class Setup:
    """A circuit breaker and its probe in front of a fake store."""

    def __init__(self) -> None:
        self.leases = RecordingLeases()
        self.reported: list[float] = []
        self.store = FakeStore()
        self.probes: list[float] = []
        self.breaker = CircuitBreaker(self.leases, self.reported.append)

    def state(self) -> tuple[bool, bool]:
        """Whether the circuit is open, and whether polling is paused."""
        return self.breaker.is_unavailable, self.leases.is_paused

    async def ping(self) -> None:
        """Ping the store and record the time."""
        self.probes.append(asyncio.get_running_loop().time())
        await self.store.ping()

    async def open(self) -> None:
        """Fail a write, and let no other succeed until the circuit opens."""
        self.breaker.record_failure(UNREACHABLE)
        await asyncio.sleep(OPEN_AFTER_SECONDS)

    @asynccontextmanager
    async def probing(self) -> AsyncIterator[None]:
        """Run the probe."""
        probe = asyncio.create_task(self.breaker.run(self.ping), name="probe")
        try:
            yield
            assert not probe.done()
        finally:
            probe.cancel()
            await asyncio.wait([probe])


@given(attempt=st.integers(0, 10_000), chance=st.floats(0, 1))
def test_probe_delays_double_to_two_seconds(attempt: int, chance: float) -> None:
    """Each is between half and all of a bound that doubles from 0.25 to 2 seconds."""
    bound = min(2.0, 0.25 * 2 ** min(attempt, 20))
    assert bound / 2 <= PROBE_BACKOFF.delay_seconds(attempt + 1, chance) <= bound


async def test_failures_without_a_success_pause_polling_and_writes() -> None:
    """A second after the first of them the circuit opens; a later one changes nothing."""
    setup = Setup()
    await setup.breaker.wait_until_allowed()
    setup.breaker.record_failure(UNREACHABLE)
    await asyncio.sleep(OPEN_AFTER_SECONDS / 2)
    setup.breaker.record_failure(UNREACHABLE)
    assert setup.state() == (False, False)
    await asyncio.sleep(OPEN_AFTER_SECONDS / 2)
    setup.breaker.record_failure(UNREACHABLE)
    assert setup.state() == (True, True)
    assert setup.reported == [1, 0]
    waiting = asyncio.create_task(setup.breaker.wait_until_allowed(), name="wait")
    await settle()
    assert not waiting.done()
    setup.breaker.record_success()
    await waiting
    assert setup.state() == (False, False)
    assert setup.reported == [1, 0, 1]


async def test_a_success_while_closed_reports_nothing() -> None:
    """Only a change of state is reported."""
    setup = Setup()
    setup.breaker.record_success()
    assert setup.reported == [1]


async def test_the_probe_backs_off_while_pings_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes follow after 0.25, 0.5, 1 seconds and then every two; while the circuit is closed there is none."""
    monkeypatch.setattr("random.random", lambda: 1.0)
    setup = Setup()
    setup.store.script(*[Fail(UNREACHABLE)] * 8, call="ping")
    async with setup.probing():
        await asyncio.sleep(100)
        assert setup.probes == []
        await setup.open()
        begun = asyncio.get_running_loop().time()
        await asyncio.sleep(100)
    pauses = [after - before for before, after in zip([begun, *setup.probes], setup.probes, strict=False)]
    assert pauses == [0.25, 0.5, 1, 2, 2, 2, 2, 2, 2]


async def test_without_a_held_batch_a_successful_ping_closes_the_circuit() -> None:
    """No batch is held whose write could prove more than a ping."""
    setup = Setup()
    async with setup.probing():
        await setup.open()
        await asyncio.sleep(1)
        assert setup.state() == (False, False)
        assert setup.reported == [1, 0, 1]


async def test_a_ping_alone_resumes_polling_on_probation() -> None:
    """The probation ends with the first successful write."""
    setup = Setup()
    async with setup.probing():
        await setup.open()
        await asyncio.sleep(1)
        assert (setup.leases.is_paused, setup.leases.is_on_probation) == (False, True)
        setup.breaker.record_success()
        assert (setup.leases.is_paused, setup.leases.is_on_probation) == (False, False)
    assert setup.reported == [1, 0, 1]


async def test_a_stopping_pipeline_does_not_wait_for_the_database() -> None:
    """Neither while the circuit is open nor when it opens later; while it is closed there is no wait."""
    setup = Setup()
    await setup.open()
    waiting = asyncio.create_task(setup.breaker.wait_until_allowed(), name="wait")
    await settle()
    setup.breaker.stop()
    assert not await waiting
    setup.breaker.record_success()
    assert await setup.breaker.wait_until_allowed()
    await setup.open()
    assert not await setup.breaker.wait_until_allowed()


async def test_with_a_held_batch_a_ping_allows_its_write_and_the_write_closes_the_circuit() -> None:
    """A database that answers a ping may still fail every write, so polling waits for the write."""
    setup = Setup()
    async with setup.probing(), setup.breaker.holding_batch():
        await setup.open()
        await setup.breaker.wait_until_allowed()
        await asyncio.sleep(100)
        assert setup.state() == (True, True)
        assert len(setup.probes) == 1
        setup.breaker.record_success()
        assert setup.state() == (False, False)


async def test_a_write_that_fails_again_restarts_the_probe_with_longer_delays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Successful pings do not shorten the delays while writes fail; a successful write resets them."""
    monkeypatch.setattr("random.random", lambda: 1.0)
    setup = Setup()
    waits = []
    clock = asyncio.get_running_loop().time
    async with setup.probing(), setup.breaker.holding_batch():
        await setup.open()
        for number in range(4):
            begun = clock()
            if number:
                setup.breaker.record_failure(UNREACHABLE)
            await setup.breaker.wait_until_allowed()
            waits.append(clock() - begun)
        setup.breaker.record_success()
        await setup.open()
        begun = clock()
        await setup.breaker.wait_until_allowed()
        waits.append(clock() - begun)
    assert waits == [0.25, 0.5, 1, 2, 0.25]


async def test_repeated_failures_while_half_open_begin_the_probation() -> None:
    """A held message may be poison, which only others can prove: probation begins once, after three such failures."""
    setup = Setup()
    async with setup.probing(), setup.breaker.holding_batch():
        seen = []
        await setup.open()
        for number in range(5):
            if number:
                setup.breaker.record_failure(UNREACHABLE)
            seen.append(setup.leases.is_on_probation)
            setup.breaker.record_failure(UNREACHABLE)  # of a write that was already under way: no probe had allowed it
            await setup.breaker.wait_until_allowed()
        assert seen == [False, False, False, True, True]
        assert setup.breaker.is_unavailable
        setup.breaker.record_success()
        assert (setup.leases.is_paused, setup.leases.is_on_probation) == (False, False)


async def test_a_batch_that_is_given_up_does_not_keep_the_circuit_open() -> None:
    """After a successful ping the last held batch is given up without success: the next ping closes the circuit."""
    setup = Setup()
    async with setup.probing():
        async with setup.breaker.holding_batch():
            await setup.open()
            await setup.breaker.wait_until_allowed()
        assert setup.state() == (True, True)
        await asyncio.sleep(30)
        assert setup.state() == (False, False)
        assert len(setup.probes) == 2


async def test_a_success_before_the_probe_cancels_it() -> None:
    """A closed circuit sends no ping."""
    setup = Setup()
    async with setup.probing():
        await setup.open()
        setup.breaker.record_success()
        await asyncio.sleep(30)
    assert setup.probes == []


async def test_a_success_during_a_probe_closes_the_circuit() -> None:
    """A write succeeds while the ping is under way: the answer of the ping changes nothing."""
    setup = Setup()
    hold = Hold()
    setup.store.script(hold, call="ping")
    async with setup.probing():
        await setup.open()
        await hold.reached.wait()
        setup.breaker.record_success()
        hold.release()
        await asyncio.sleep(30)
    assert setup.reported == [1, 0, 1]
    assert len(setup.probes) == 1
    assert not setup.leases.is_on_probation


async def test_a_success_between_failures_keeps_the_circuit_closed() -> None:
    """However many writes fail: as beside one locked row among writes that succeed."""
    setup = Setup()
    for _ in range(100):
        setup.breaker.record_failure(UNREACHABLE)
        await asyncio.sleep(OPEN_AFTER_SECONDS * 0.9)
        setup.breaker.record_success()
    assert setup.reported == [1]


async def test_a_probation_without_failures_ends_by_itself() -> None:
    """A queue may bring no rows, and then no write can end it."""
    setup = Setup()
    async with setup.probing():
        await setup.open()
        await asyncio.sleep(1)
        assert setup.leases.is_on_probation
        await asyncio.sleep(PROBATION_SECONDS)
        assert (setup.leases.is_paused, setup.leases.is_on_probation) == (False, False)
    assert setup.reported == [1, 0, 1]


async def test_a_failure_on_probation_does_not_end_it() -> None:
    """It opens the circuit again, unless a write succeeds soon."""
    setup = Setup()
    async with setup.probing():
        await setup.open()
        await asyncio.sleep(1)
        setup.breaker.record_failure(UNREACHABLE)
        await asyncio.sleep(OPEN_AFTER_SECONDS)
        assert setup.state() == (True, True)
