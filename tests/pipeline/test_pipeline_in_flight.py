"""The whole line under its regulator: slow statements do not starve it, and an operator may stand it still."""

from __future__ import annotations

import asyncio
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
from subscriber.control.load_monitor import LoadWatch
from subscriber.control.observer import Observer, PipelineSignals
from subscriber.control.overrides import Command
from subscriber.control.regulator import Regulator
from subscriber.control.report import Report
from subscriber.errors import Treatment
from subscriber.model import ObjectEvent
from tests.fakes.samples import QUEUE, failing
from tests.fakes.store import FakeStore, Refuse
from tests.fakes.virtual_time import VirtualTimeLoop
from tests.pipeline.pipelines import OPTIONS, QUEUES, Stage

pytestmark = pytest.mark.usefixtures("untraced")

WRITERS = 4
GOVERNOR = GovernorOptions(
    limit_at_least=0.05, limit_at_most=WRITERS, slow_statement_seconds=30, batch_max_rows=OPTIONS.batch.max_rows
)


@pytest.fixture(autouse=True)
def _without_log() -> Iterator[None]:
    """A decision a second is many lines when hours pass."""
    with structlog.testing.capture_logs():
        yield


class SlowStore(FakeStore):
    """Every statement takes its time."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    async def store(self, rows: Sequence[ObjectEvent]) -> int:
        """Upsert, slowly."""
        applied = await super().store(rows)
        self.active += 1
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.active -= 1
        return applied


class UnchangedBatches:
    """Stay as large as they are: here it is the budget that matters."""

    def set_rows_at_most(self, rows: int) -> None:
        """Not heard."""


class RegulatedStage(Stage):
    """The line, and the regulator as app.py puts it together."""

    def __init__(self, *, statement_seconds: float = 0.1, governor: GovernorOptions = GOVERNOR) -> None:
        self.slow_store = SlowStore(statement_seconds)
        super().__init__(limit=WRITERS, store=self.slow_store)
        line = self.line
        signs = PipelineSignals(line.tally, line.limiter, line.leases, line.arrivals, lambda: line.breaker.is_ongoing)
        backlog = Backlog(QUEUES, self.queues, self.metrics)
        observer = Observer(signs, backlog, LoadWatch(None, self.metrics), self.metrics)
        alarms = Alarms(line.arrivals, backlog, self.metrics)
        report = Report(observer, alarms, self.metrics)
        self.regulator = Regulator(
            governor, observer, alarms, report, line.limiter, leases=line.leases, batches=UnchangedBatches()
        )

    @asynccontextmanager
    async def regulated(self) -> AsyncIterator[None]:
        """Line and regulator at work; at the end the line is stopped and must run dry."""
        regulating = asyncio.create_task(self.regulator.run(), name="regulator")
        try:
            async with self.running():
                yield
        finally:
            regulating.cancel()
            await asyncio.wait([regulating])

    def apply(self, command: Command) -> None:
        """As the control page does."""
        self.regulator.apply(command)


async def rows_per_second(stage: Stage, begin_seconds: float, seconds: float) -> float:
    """The rate at which rows are stored, from `begin_seconds` on, when it has settled."""
    await asyncio.sleep(begin_seconds)
    before = len(stage.store.rows)
    await asyncio.sleep(seconds)
    return (len(stage.store.rows) - before) / seconds


FULL_RATE = WRITERS * OPTIONS.batch.max_rows / 20
"""Every writer always at work on a full batch of a statement that takes twenty seconds."""


async def test_slow_statements_do_not_starve_the_writers() -> None:
    """Two seconds of their rate are less than one batch, yet every writer has a full one, one after the other."""
    stage = RegulatedStage(statement_seconds=20)
    stage.send(16_000)
    async with stage.regulated():
        assert await rows_per_second(stage, 100, 200) == pytest.approx(FULL_RATE, rel=0.05)


async def test_without_the_least_budget_they_would_starve() -> None:
    """What the claim above rests on: the same line with a budget by its rate alone."""
    stage = RegulatedStage(statement_seconds=20, governor=msgspec.structs.replace(GOVERNOR, batch_max_rows=1))
    stage.send(16_000)
    async with stage.regulated():
        assert await rows_per_second(stage, 100, 200) < FULL_RATE / 2


async def test_a_pause_finishes_what_has_begun_and_keeps_the_rest() -> None:
    """No poll and no write begins; what is written is deleted, what waits stays hidden; the resume goes on with it."""
    stage = RegulatedStage(statement_seconds=2)
    sent = stage.send(5_000)
    async with stage.regulated():
        await asyncio.sleep(5)
        assert stage.slow_store.active == WRITERS
        stage.apply(Command("pause"))
        begun, polls = len(stage.store.stored), len(stage.queues.polls)
        await asyncio.sleep(60)
        assert (len(stage.store.stored), len(stage.queues.polls)) == (begun, polls)
        assert stage.slow_store.active == 0
        held = stage.leases.messages_held
        assert held > 0
        assert len(stage.queues.left(QUEUE)) == len(sent) - len(stage.keys())
        stage.apply(Command("resume"))
        await asyncio.sleep(60)
        assert (stage.keys(), stage.left()) == (sent, 0)


async def test_a_pause_longer_than_the_leases_loses_nothing() -> None:
    """What was held comes back to the queue by itself, and is stored when it comes again."""
    stage = RegulatedStage(statement_seconds=2)
    sent = stage.send(5_000)
    async with stage.regulated():
        await asyncio.sleep(5)
        stage.apply(Command("pause"))
        await asyncio.sleep(3600)
        stage.apply(Command("resume"))
        await asyncio.sleep(1200)
        assert (stage.keys(), stage.left()) == (sent, 0)
    assert stage.is_dry()


async def test_a_stop_ends_a_pause() -> None:
    """What is held is written, for it could not be kept; nothing more is received."""
    stage = RegulatedStage(statement_seconds=2)
    stage.send(5_000)
    async with stage.regulated():
        await asyncio.sleep(5)
        stage.apply(Command("pause"))
        await asyncio.sleep(60)
        held, stored = stage.leases.messages_held, len(stage.keys())
        stage.line.stop()
        await asyncio.sleep(30)
        assert len(stage.keys()) == stored + held
    assert stage.is_dry()


async def test_an_outage_that_ends_in_a_pause_leaves_it_standing() -> None:
    """The database is back, but it is the operator who says when."""
    stage = RegulatedStage()
    stage.store.script(*[Refuse(failing(Treatment.RECONNECT))] * 2)
    stage.store.script(*[Refuse(failing(Treatment.RECONNECT))] * 3, call="ping")
    async with stage.regulated():
        first = stage.send(10)
        await asyncio.sleep(1)
        stage.apply(Command("pause"))
        second = stage.send(10)
        await asyncio.sleep(60)
        assert not stage.line.breaker.is_ongoing
        assert stage.keys() == first
        stage.apply(Command("resume"))
        await asyncio.sleep(30)
        assert stage.keys() == first | second


COMMANDS = st.sampled_from([Command("pause"), Command("resume"), Command("auto"), Command("limit", 0.5)])


@settings(max_examples=30, deadline=None)
@given(plan=st.lists(st.tuples(st.floats(0, 30), COMMANDS), max_size=10))
def test_whatever_an_operator_does_every_message_is_stored_once_he_lets_go(
    plan: list[tuple[float, Command]],
) -> None:
    """Commands in any order at any time; at the end of them the governor has it all stored and deleted."""

    async def scene() -> None:
        stage = RegulatedStage(statement_seconds=0.5)
        async with stage.regulated():
            sent = stage.send(500)
            for pause_seconds, command in plan:
                await asyncio.sleep(pause_seconds)
                stage.apply(command)
            stage.apply(Command("auto"))
            await asyncio.sleep(120)
            assert (stage.keys(), stage.left()) == (sent, 0)
        assert stage.is_dry()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scene())
