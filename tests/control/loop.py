"""A regulator over a real limiter and real leases, with queues and a sensor that the test scripts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from subscriber.control.alarms import Alarms
from subscriber.control.backlog import Backlog
from subscriber.control.governor.decide import GovernorOptions, GovernorState
from subscriber.control.load_monitor import LoadMonitor, Sensor
from subscriber.control.observer import Observer, PipelineSignals
from subscriber.control.overrides import Command, Verb
from subscriber.control.reading import Reading
from subscriber.control.regulator import Regulator
from subscriber.control.report import Report
from subscriber.flow.backoff import Backoff
from subscriber.flow.leases import InFlightLimits, VisibilityLeases
from subscriber.flow.limiter import ConcurrencyLimiter
from subscriber.observe.metrics import Metrics
from subscriber.signals import Arrivals, LoadReading, WriteTally
from tests.fakes.samples import OTHER_QUEUE, QUEUE

QUEUES = (QUEUE, OTHER_QUEUE)
BUDGET_AT_LEAST = 2000
OPTIONS = GovernorOptions(
    limit_at_least=0.05,
    limit_at_most=8,
    slow_statement_seconds=10,
    batch_max_rows=BUDGET_AT_LEAST // 10,  # eight permits and two
)
EPOCH = 1_795_000_000.0
"""Unix seconds at second 0 of the loop's clock."""
NO_BACKOFF = Backoff(first_seconds=0, max_seconds=0, jitter=0)


def wall_clock() -> float:
    """Unix seconds, as the loop's clock tells them."""
    return EPOCH + asyncio.get_running_loop().time()


class Queues:
    """Answers for each queue as scripted: an exception is raised, None never answers."""

    def __init__(self) -> None:
        self.answers: dict[str, Mapping[str, str] | Exception | None] = {queue: counts(0, 0) for queue in QUEUES}
        self.asked: list[tuple[str, float]] = []

    async def attributes(self, queue: str) -> Mapping[str, str]:
        """All its attributes."""
        self.asked.append((queue, asyncio.get_running_loop().time()))
        answer = self.answers[queue]
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        return answer or {}


def counts(visible: int, in_flight: int) -> dict[str, str]:
    """The attributes of a queue that has so many messages."""
    return {
        "ApproximateNumberOfMessages": str(visible),
        "ApproximateNumberOfMessagesNotVisible": str(in_flight),
        "QueueArn": "arn:aws:sqs:eu-central-1:1:events",
    }


class FakeSensor:
    """Each read calls `answer`."""

    source = "fake"

    def __init__(self, answer: Callable[[], LoadReading | None], *, period_seconds: float = 1.0) -> None:
        self.answer = answer
        self.period_seconds = period_seconds
        self.hangs = False
        self.reads: list[float] = []
        self.is_closed = False

    async def read(self) -> LoadReading | None:
        """The newest finished window."""
        self.reads.append(asyncio.get_running_loop().time())
        if self.hangs:
            await asyncio.Event().wait()
        return self.answer()

    async def close(self) -> None:
        """Recorded."""
        self.is_closed = True


def load(cpu_percent: float, *, taken_at: float | None = None, window_seconds: float = 1.0) -> LoadReading:
    """A reading whose window ends now, or at `taken_at`."""
    return LoadReading(cpu_percent, wall_clock() if taken_at is None else taken_at, window_seconds)


class RecordingLimiter(ConcurrencyLimiter):
    """Records every limit after the first, with its time."""

    def __init__(self, limit: float) -> None:
        super().__init__(limit)
        self.changes: list[tuple[float, float]] = []

    def set_limit(self, limit: float) -> None:
        """Change it."""
        super().set_limit(limit)
        self.changes.append((asyncio.get_running_loop().time(), limit))


class RecordingLeases(VisibilityLeases):
    """Records every budget."""

    def __init__(self) -> None:
        super().__init__(QUEUES, InFlightLimits(messages=1_000_000, bytes=1 << 34), visibility_seconds=300)
        self.budgets: list[int] = []

    def set_budget(self, messages: int) -> None:
        """How many messages may be held for now."""
        super().set_budget(messages)
        self.budgets.append(messages)


def monitor_of(sensor: Sensor | None, metrics: Metrics, retry: Backoff = NO_BACKOFF) -> LoadMonitor:
    """A monitor of a sensor that opens at once."""

    async def open_sensor() -> Sensor | None:
        return sensor

    source = sensor.source if sensor else "none"
    return LoadMonitor(source, open_sensor if sensor else None, metrics, wall_clock=wall_clock, retry=retry)


class ControlLoop:
    """The regulator with everything it reads and sets. Made inside a running loop."""

    def __init__(
        self,
        sensor: Sensor | None = None,
        options: GovernorOptions = OPTIONS,
        *,
        retry: Backoff = NO_BACKOFF,
        queues: tuple[str, ...] = QUEUES,
        is_new: bool = False,
    ) -> None:
        self.batch_sizes: list[int] = []
        self.tally, self.limiter, self.leases, self.metrics = (
            WriteTally(),
            RecordingLimiter(8),
            RecordingLeases(),
            Metrics(queues=queues),
        )
        self.arrivals = {queue: Arrivals() for queue in queues}
        for arrivals in self.arrivals.values():
            arrivals.begin_poll(asyncio.get_running_loop().time())
        self.is_database_unavailable = False
        self.queues = Queues()
        self.backlog = Backlog(queues, self.queues, self.metrics)
        self.load = monitor_of(sensor, self.metrics, retry)
        signals = PipelineSignals(
            self.tally, self.limiter, self.leases, self.arrivals, lambda: self.is_database_unavailable
        )
        self.observer = Observer(signals, self.backlog, self.load, self.metrics)
        self.alarms = Alarms(self.arrivals, self.backlog, self.metrics)
        report = Report(self.observer, self.alarms, self.metrics)
        self.regulator = Regulator(
            options,
            self.observer,
            self.alarms,
            report,
            self.limiter,
            leases=self.leases,
            set_rows_at_most=self.batch_sizes.append,
        )
        self._begin(options, is_new=is_new)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[float]:
        """Run the loop; yields its start time, and places the test halfway between two readings."""
        begun = asyncio.get_running_loop().time()
        regulating = asyncio.create_task(self.regulator.run(), name="regulator")
        try:
            await asyncio.sleep(0.5)
            yield begun
            assert not regulating.done()
        finally:
            regulating.cancel()
            await asyncio.wait([regulating])

    def _begin(self, options: GovernorOptions, *, is_new: bool) -> None:
        """Without a sensor as a task that has run for a while, unless it is new: that has the lowest limit."""
        if not (options.has_load_signal or is_new):
            self.regulator._state = GovernorState(limit=options.limit_at_most)
            self.limiter.set_limit(options.limit_at_most)
        self.limiter.changes.clear()

    def apply(self, mode: Verb, limit: float | None = None) -> None:
        """Apply an operator's command."""
        self.regulator.apply(Command(mode=mode, limit=limit))

    def reading(self) -> Reading:
        """The newest reading."""
        reading = self.regulator.status().reading
        assert reading is not None
        return reading

    def metric(self, name: str, **labels: str) -> float | None:
        """A metric's value."""
        return self.metrics.registry.get_sample_value(f"subscriber_{name}", labels)
