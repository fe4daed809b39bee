"""The whole pipeline under its regulator: slow statements do not starve it, and an operator can pause it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriber.control.alarms import Alarms
from subscriber.control.backlog import Backlog
from subscriber.control.governor.decide import GovernorOptions
from subscriber.control.lag import OVERTAKEN_SECONDS
from subscriber.control.load_monitor import LoadMonitor
from subscriber.control.observer import Observer, PipelineSignals
from subscriber.control.overrides import Command
from subscriber.control.regulator import Regulator
from subscriber.control.report import Report
from subscriber.errors import Treatment
from subscriber.model import ObjectEvent
from tests.fakes.samples import QUEUE, failing, put_body
from tests.fakes.store import Fail, FakeStore, Hold
from tests.fakes.virtual_time import VirtualTimeLoop
from tests.pipeline.pipelines import OPTIONS, QUEUES, Setup

pytestmark = pytest.mark.usefixtures("untraced")

WRITERS = 4
GOVERNOR = GovernorOptions(
    limit_at_least=WRITERS, limit_at_most=WRITERS, slow_statement_seconds=30, batch_max_rows=OPTIONS.batch.max_rows
)
"""A fixed concurrency: what is tested here is how much is held for it."""


@pytest.fixture(autouse=True)
def _without_log() -> Iterator[None]:
    """One decision a second makes many lines in hours."""
    with structlog.testing.capture_logs():
        yield


class SlowStore(FakeStore):
    """Every statement takes so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    async def store(self, rows: Sequence[ObjectEvent], limit_seconds: float = math.inf) -> int:
        """Upsert, slowly."""
        applied = await super().store(rows, limit_seconds)
        self.active += 1
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.active -= 1
        return applied


class RegulatedSetup(Setup):
    """The pipeline with a regulator, connected as in app.py."""

    def __init__(self, *, statement_seconds: float = 0.1, governor: GovernorOptions = GOVERNOR) -> None:
        self.slow_store = SlowStore(statement_seconds)
        super().__init__(limit=WRITERS, store=self.slow_store)
        pipeline = self.pipeline
        signals = PipelineSignals(
            pipeline.tally,
            pipeline.limiter,
            pipeline.leases,
            pipeline.arrivals,
            lambda: pipeline.breaker.is_unavailable,
        )
        backlog = Backlog(QUEUES, self.queues, self.metrics)
        observer = Observer(signals, backlog, LoadMonitor("none", None, self.metrics), self.metrics)
        alarms = Alarms(pipeline.arrivals, backlog, self.metrics)
        report = Report(observer, alarms, self.metrics)
        self.regulator = Regulator(
            governor,
            observer,
            alarms,
            report,
            pipeline.limiter,
            leases=pipeline.leases,
            set_rows_at_most=lambda _: None,
        )

    @asynccontextmanager
    async def regulated(self) -> AsyncIterator[None]:
        """Run pipeline and regulator; at the end stop the pipeline and wait until it is drained."""
        regulating = asyncio.create_task(self.regulator.run(), name="regulator")
        try:
            async with self.running():
                yield
        finally:
            regulating.cancel()
            await asyncio.wait([regulating])

    def apply(self, command: Command) -> None:
        """As the /control endpoint does."""
        self.regulator.apply(command)


async def rows_per_second(setup: Setup, begin_seconds: float, seconds: float) -> float:
    """Rows stored per second, after `begin_seconds`, over `seconds`."""
    await asyncio.sleep(begin_seconds)
    before = len(setup.store.rows)
    await asyncio.sleep(seconds)
    return (len(setup.store.rows) - before) / seconds


FULL_RATE = WRITERS * OPTIONS.batch.max_rows / 20
"""Every writer always writes a full batch, whose statement takes twenty seconds."""


async def test_slow_statements_do_not_starve_the_writers() -> None:
    """Two seconds of their rate are less than one batch, yet every writer always has a full batch."""
    setup = RegulatedSetup(statement_seconds=20)
    setup.send(16_000)
    async with setup.regulated():
        assert await rows_per_second(setup, 100, 200) == pytest.approx(FULL_RATE, rel=0.05)


async def test_without_the_minimum_budget_the_writers_starve() -> None:
    """The control for the test above: the same pipeline with a budget by its rate alone."""
    setup = RegulatedSetup(statement_seconds=20, governor=msgspec.structs.replace(GOVERNOR, batch_max_rows=1))
    setup.send(16_000)
    async with setup.regulated():
        assert await rows_per_second(setup, 100, 200) < FULL_RATE / 2


async def test_a_message_that_is_held_alone_is_overtaken_by_those_stored_after_it() -> None:
    """Then it makes the pipeline late no longer; while nothing newer is stored, it does."""
    setup = RegulatedSetup()
    hold = Hold()
    setup.store.script(hold)
    late = []
    async with setup.regulated():
        setup.queues.send(QUEUE, [put_body("locked")], sent_at=7.0)
        await hold.reached.wait()
        for number in range(12):
            overtaken_before = setup.pipeline.tally.newest_received_at - OVERTAKEN_SECONDS
            late.append(setup.leases.oldest_sent_at(overtaken_before).get(QUEUE, 0.0) < 0)
            setup.queues.send(QUEUE, [put_body(f"{number}")], sent_at=time.time())
            await asyncio.sleep(2)
        hold.release()
    assert late == [*[True] * 6, *[False] * 6]


async def test_a_pause_finishes_current_writes_and_holds_the_rest() -> None:
    """No poll and no write begins; written messages are deleted, waiting ones stay invisible until the resume."""
    setup = RegulatedSetup(statement_seconds=2)
    sent = setup.send(5_000)
    async with setup.regulated():
        await asyncio.sleep(5)
        assert setup.slow_store.active == WRITERS
        setup.apply(Command("pause"))
        begun, polls = len(setup.store.stored), len(setup.queues.polls)
        await asyncio.sleep(60)
        assert (len(setup.store.stored), len(setup.queues.polls)) == (begun, polls)
        assert setup.slow_store.active == 0
        held = setup.leases.messages_held
        assert held > 0
        assert len(setup.queues.left(QUEUE)) == len(sent) - len(setup.keys())
        setup.apply(Command("resume"))
        await asyncio.sleep(60)
        assert (setup.keys(), setup.left()) == (sent, 0)


async def test_a_pause_longer_than_the_leases_loses_nothing() -> None:
    """Held messages are released, received again after the pause, and stored."""
    setup = RegulatedSetup(statement_seconds=2)
    sent = setup.send(5_000)
    async with setup.regulated():
        await asyncio.sleep(5)
        setup.apply(Command("pause"))
        await asyncio.sleep(3600)
        setup.apply(Command("resume"))
        await asyncio.sleep(1200)
        assert (setup.keys(), setup.left()) == (sent, 0)
    assert setup.is_drained()


async def test_a_stop_ends_a_pause() -> None:
    """Held messages are written; nothing more is received."""
    setup = RegulatedSetup(statement_seconds=2)
    setup.send(5_000)
    async with setup.regulated():
        await asyncio.sleep(5)
        setup.apply(Command("pause"))
        await asyncio.sleep(60)
        held, stored = setup.leases.messages_held, len(setup.keys())
        setup.pipeline.stop()
        await asyncio.sleep(30)
        assert len(setup.keys()) == stored + held
    assert setup.is_drained()


async def test_an_outage_that_ends_during_a_pause_does_not_end_it() -> None:
    """The database is available again, but the operator decides when to resume."""
    setup = RegulatedSetup()
    setup.store.script(*[Fail(failing(Treatment.RECONNECT))] * 2)
    setup.store.script(*[Fail(failing(Treatment.RECONNECT))] * 3, call="ping")
    async with setup.regulated():
        first = setup.send(10)
        await asyncio.sleep(1)
        setup.apply(Command("pause"))
        second = setup.send(10)
        await asyncio.sleep(60)
        assert not setup.pipeline.breaker.is_unavailable
        assert setup.keys() == first
        setup.apply(Command("resume"))
        await asyncio.sleep(30)
        assert setup.keys() == first | second


COMMANDS = st.sampled_from([Command("pause"), Command("resume"), Command("auto"), Command("limit", 0.5)])


@settings(max_examples=30, deadline=None)
@given(plan=st.lists(st.tuples(st.floats(0, 30), COMMANDS), max_size=10))
def test_after_any_commands_every_message_is_stored(
    plan: list[tuple[float, Command]],
) -> None:
    """Commands in any order at any time; after the last one everything is stored and deleted."""

    async def scenario() -> None:
        growing = msgspec.structs.replace(GOVERNOR, limit_at_least=0.05)
        setup = RegulatedSetup(statement_seconds=0.5, governor=growing)
        async with setup.regulated():
            sent = setup.send(500)
            for pause_seconds, command in plan:
                await asyncio.sleep(pause_seconds)
                setup.apply(command)
            setup.apply(Command("auto"))
            await asyncio.sleep(120)
            assert (setup.keys(), setup.left()) == (sent, 0)
        assert setup.is_drained()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())
