"""The bounds of the load monitor: time limit, validation and backoff of each read, and the search for a sensor."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from subscriber.adapters.load.sensor import checked
from subscriber.control.load_monitor import (
    LOST_AFTER_SECONDS,
    READ_SECONDS,
    RETRY,
    SEARCH_AGAIN_SECONDS,
    LoadMonitor,
    OpenSensor,
    Sensor,
    close_sensor,
    read_sensor,
)
from subscriber.errors import SensorError
from subscriber.observe.metrics import Metrics
from subscriber.signals import LoadReading
from tests.control.loop import load, wall_clock

READING = LoadReading(cpu_percent=42.0, taken_at=1_700_000_000.0, window_seconds=1.0)


class ScriptedSensor:
    """A sensor that does what `act` does; it records when it was read."""

    def __init__(self, act: Callable[[], Awaitable[LoadReading | None]], period_seconds: float = 3.0) -> None:
        self.act = act
        self.reads: list[float] = []
        self.is_closed = False
        self.source = "scripted"
        self.period_seconds = period_seconds

    async def read(self) -> LoadReading | None:
        """Do it."""
        self.reads.append(asyncio.get_running_loop().time())
        return await self.act()

    async def close(self) -> None:
        """Recorded."""
        self.is_closed = True


def answering(reading: LoadReading | None) -> Callable[[], Awaitable[LoadReading | None]]:
    """A sensor that returns this."""

    async def act() -> LoadReading | None:
        return reading

    return act


def failing(error: BaseException) -> Callable[[], Awaitable[LoadReading | None]]:
    """A sensor that raises this."""

    async def act() -> LoadReading | None:
        raise error

    return act


async def hanging() -> LoadReading | None:
    """A sensor that never answers."""
    await asyncio.Event().wait()
    return None


async def current() -> LoadReading | None:
    """A sensor with a reading of this moment."""
    return load(42)


@asynccontextmanager
async def running(monitor: LoadMonitor) -> AsyncIterator[None]:
    """The monitor at work; at the end it is cancelled and closed, as the daemon does it."""
    task = asyncio.create_task(monitor.run(), name="load")
    try:
        await asyncio.sleep(0)
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])
        await monitor.close()


def opening(*outcomes: Sensor | Exception | None) -> tuple[OpenSensor, list[float]]:
    """Searches that end like this, one after the other; the list receives their times."""
    searches: list[float] = []

    async def open_sensor() -> Sensor | None:
        outcome = outcomes[len(searches)]
        searches.append(asyncio.get_running_loop().time())
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return open_sensor, searches


def monitor_with(open_sensor: OpenSensor) -> LoadMonitor:
    """A monitor of the source `auto`."""
    return LoadMonitor("auto", open_sensor, Metrics(), wall_clock=wall_clock)


@given(st.floats(min_value=0, max_value=100))
def test_a_possible_load_is_kept(percent: float) -> None:
    """Everything from 0 to 100 stays as it is."""
    assert checked(percent) == percent


@given(st.floats().filter(lambda percent: not 0 <= percent <= 101))
def test_an_impossible_load_is_invalid(percent: float) -> None:
    """NaN, a negative number, infinity or too much is no load."""
    with pytest.raises(SensorError, match="cannot be true"):
        checked(percent)


def test_rounding_is_allowed_for() -> None:
    """A mean that came out a little above a hundred is a hundred."""
    assert checked(100.4) == 100.0


async def test_a_valid_reading_passes() -> None:
    """As the sensor returned it; no reading passes as well."""
    sensor = ScriptedSensor(answering(READING))
    assert await read_sensor(sensor) == READING
    sensor.act = answering(None)
    assert await read_sensor(sensor) is None


@pytest.mark.parametrize(
    ("act", "outcome", "sentence"),
    [
        (failing(SensorError("the service said no")), "failed", "scripted: the service said no"),
        (failing(ValueError("not JSON")), "failed", "scripted: ValueError: not JSON"),
        (failing(KeyError("Timestamp")), "failed", "scripted: KeyError: 'Timestamp'"),
        (hanging, "timed_out", "scripted: no answer within 8 s"),
        (answering(LoadReading(math.nan, 0.0, 1.0)), "invalid", "scripted: a load of nan % cannot be true"),
        (answering(LoadReading(math.inf, 0.0, 1.0)), "invalid", "scripted: a load of inf % cannot be true"),
        (answering(LoadReading(-1.0, 0.0, 1.0)), "invalid", "scripted: a load of -1 % cannot be true"),
        (answering(LoadReading(400.0, 0.0, 1.0)), "invalid", "scripted: a load of 400 % cannot be true"),
    ],
)
async def test_every_failure_is_one_sentence_in_time(
    act: Callable[[], Awaitable[LoadReading | None]], outcome: str, sentence: str
) -> None:
    """A sensor that fails, hangs or lies raises SensorError, and nothing else; the metric counts the outcome."""
    began = asyncio.get_running_loop().time()
    with pytest.raises(SensorError) as caught:
        await read_sensor(ScriptedSensor(act))
    assert str(caught.value) == sentence
    assert asyncio.get_running_loop().time() - began <= READ_SECONDS
    sensor, metrics = ScriptedSensor(act), Metrics()
    monitor = LoadMonitor("auto", opening(sensor)[0], metrics, wall_clock=wall_clock)
    async with running(monitor):
        await asyncio.sleep(READ_SECONDS + 0.05)
        assert monitor.problem == sentence
        counted = metrics.registry.get_sample_value("subscriber_sensor_reads_total", {"outcome": outcome})
        assert counted == len(sensor.reads) >= 1


async def test_after_a_failure_the_monitor_backs_off() -> None:
    """It does not read the sensor until the backoff is over; a reading ends the series of failures."""
    sensor = ScriptedSensor(failing(SensorError("throttled")), period_seconds=0.1)
    monitor = monitor_with(opening(sensor)[0])
    async with running(monitor):
        await asyncio.sleep(120)
        pauses = [after - before for before, after in zip(sensor.reads, sensor.reads[1:], strict=False)]
        assert len(pauses) >= 5
        for failures, pause in enumerate(pauses, start=1):
            assert RETRY.delay_seconds(failures, 0.0) <= pause <= RETRY.delay_seconds(failures, 1.0) + 0.2
        sensor.act = current
        await asyncio.sleep(61)
        assert (monitor.problem, monitor.newest is not None) == ("", True)
        sensor.act = failing(SensorError("again"))
        failed_at = asyncio.get_running_loop().time()
        await asyncio.sleep(0.5)
        sensor.act = current
        await asyncio.sleep(1)
        assert monitor.problem == ""
        assert [at - failed_at <= 1.5 for at in sensor.reads[-2:]] == [True, True]


@given(st.integers(min_value=1, max_value=10_000), st.floats(min_value=0, max_value=1))
def test_a_backoff_is_bounded(failures: int, chance: float) -> None:
    """However long the series, the next read is at most a minute away, and at least half a second."""
    assert 0.5 <= RETRY.delay_seconds(failures, chance) <= 60


async def test_a_cancellation_passes_and_is_no_failure() -> None:
    """A stop during a read is a cancellation, not a failure of the sensor."""
    sensor = ScriptedSensor(hanging)
    task = asyncio.create_task(read_sensor(sensor), name="read")
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    sensor.act = answering(READING)
    assert await read_sensor(sensor) == READING


async def test_closing_never_raises() -> None:
    """A sensor that cannot be closed is one log line."""

    class Stuck(ScriptedSensor):
        async def close(self) -> None:
            await asyncio.Event().wait()

    with structlog.testing.capture_logs() as lines:
        await close_sensor(Stuck(hanging))
    assert lines == [
        {"event": "load.not_closed", "log_level": "warning", "source": "scripted", "detail": "TimeoutError()"}
    ]


async def test_there_is_no_reading_until_a_source_is_found() -> None:
    """The monitor checks the search often until then, and reads the sensor at its own period afterwards."""
    is_found = asyncio.Event()
    sensor = ScriptedSensor(current, period_seconds=7.0)

    async def open_sensor() -> Sensor | None:
        await is_found.wait()
        return sensor

    monitor = monitor_with(open_sensor)
    async with running(monitor):
        await asyncio.sleep(30)
        assert (monitor.source, monitor.period_seconds, monitor.newest) == ("auto", 1.0, None)
        is_found.set()
        await asyncio.sleep(1.5)
        assert (monitor.source, monitor.period_seconds) == ("scripted", 7.0)
        assert monitor.newest is not None


async def test_a_search_that_finds_nothing_is_repeated_later() -> None:
    """After its own period, not with every read."""
    open_sensor, searches = opening(None, ScriptedSensor(current))
    monitor = monitor_with(open_sensor)
    async with running(monitor):
        await asyncio.sleep(SEARCH_AGAIN_SECONDS - 1)
        assert (len(searches), monitor.newest) == (1, None)
        await asyncio.sleep(3)
        assert len(searches) == 2
        assert monitor.newest is not None


async def test_a_search_that_fails_is_one_failed_read() -> None:
    """The problem is the search's own sentence; the search is repeated as one that finds nothing."""
    open_sensor, searches = opening(SensorError("no permission"), ScriptedSensor(current))
    monitor = monitor_with(open_sensor)
    with structlog.testing.capture_logs() as lines:
        async with running(monitor):
            await asyncio.sleep(10)
            assert monitor.problem == "no permission"
            await asyncio.sleep(SEARCH_AGAIN_SECONDS)
            assert (len(searches), monitor.problem) == (2, "")
    events = [line["event"] for line in lines if line["event"] not in {"sensor.stale", "sensor.fresh"}]
    assert events == ["sensor.failed", "sensor.recovered"]


@pytest.mark.parametrize("loss", [failing(SensorError("no permission")), hanging, answering(None)])
async def test_auto_looks_again_after_its_sensor_was_lost_for_long(
    loss: Callable[[], Awaitable[LoadReading | None]],
) -> None:
    """It fails, hangs or brings nothing: five minutes later the next search may find another one."""
    lost, next_one = ScriptedSensor(current), ScriptedSensor(current)
    open_sensor, searches = opening(lost, next_one)
    monitor = monitor_with(open_sensor)
    with structlog.testing.capture_logs() as lines:
        async with running(monitor):
            await asyncio.sleep(100)
            lost.act = loss
            await asyncio.sleep(LOST_AFTER_SECONDS - 10)
            assert (len(searches), lost.is_closed) == (1, False)
            await asyncio.sleep(10 + RETRY.max_seconds + 10)
            assert (len(searches), lost.is_closed, next_one.is_closed) == (2, True, False)
            assert (monitor.is_stale, monitor.problem) == (False, "")
            await asyncio.sleep(3 * LOST_AFTER_SECONDS)
            assert len(searches) == 2
    assert [line["event"] for line in lines].count("sensor.lost") == 1


async def test_a_source_that_the_operator_named_is_kept() -> None:
    """However long it brings nothing."""
    sensor = ScriptedSensor(failing(SensorError("no permission")))
    open_sensor, searches = opening(sensor)
    monitor = LoadMonitor("cloudwatch", open_sensor, Metrics(), wall_clock=wall_clock)
    async with running(monitor):
        await asyncio.sleep(5 * LOST_AFTER_SECONDS)
        assert (len(searches), sensor.is_closed) == (1, False)


async def test_closing_ends_the_search_or_closes_the_sensor() -> None:
    """The search that still runs, the sensor in use, or one that was found a moment ago."""
    is_searching = asyncio.Event()

    async def search_for_ever() -> Sensor | None:
        is_searching.set()
        await asyncio.Event().wait()
        return None

    async with running(monitor_with(search_for_ever)):
        await is_searching.wait()
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "open sensor"] == []
    in_use = ScriptedSensor(current)
    async with running(monitor_with(opening(in_use)[0])):
        await asyncio.sleep(1)
    assert in_use.is_closed
    just_found, is_found = ScriptedSensor(current), asyncio.Event()

    async def find() -> Sensor | None:
        is_found.set()
        return just_found

    async with running(monitor_with(find)):
        await is_found.wait()
    assert just_found.is_closed
