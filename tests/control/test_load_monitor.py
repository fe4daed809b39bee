"""The load monitor: a sensor that fails, lies or hangs costs its readings and nothing else."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable, Iterator

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from subscriber.control.load_monitor import RETRY
from subscriber.control.reading import MAX_CLOCK_SKEW_SECONDS, load_flaw
from subscriber.signals import LoadReading
from tests.control.loop import EPOCH, ControlLoop, FakeSensor, load, wall_clock

NOW = 1_800_000_000.0
HONEST = LoadReading(cpu_percent=50, taken_at=NOW - 1, window_seconds=1)


def flaw_at(now: float, reading: LoadReading) -> str | None:
    """Why the reading is invalid at `now` (Unix seconds)."""
    return load_flaw(reading, now - reading.taken_at)


@pytest.mark.parametrize(
    "changed",
    [
        {"cpu_percent": math.nan},
        {"cpu_percent": math.inf},
        {"cpu_percent": -0.1},
        {"cpu_percent": 100.1},
        {"taken_at": math.nan},
        {"taken_at": NOW + MAX_CLOCK_SKEW_SECONDS + 1},
        {"window_seconds": 0.0},
        {"window_seconds": -1.0},
        {"window_seconds": math.inf},
    ],
)
def test_an_impossible_reading_is_invalid(changed: dict[str, float]) -> None:
    """With a reason for the log."""
    assert flaw_at(NOW, HONEST) is None
    assert flaw_at(NOW, msgspec.structs.replace(HONEST, **changed))


@given(reading=st.builds(LoadReading, *[st.floats() for _ in range(3)]), now=st.floats(0, 4e9))
def test_a_valid_reading_is_a_share_of_a_window_of_the_past(reading: LoadReading, now: float) -> None:
    """For any numbers that a sensor may return."""
    if flaw_at(now, reading) is None:
        assert 0 <= reading.cpu_percent <= 100
        assert 0 < reading.window_seconds < math.inf
        assert reading.taken_at <= now + MAX_CLOCK_SKEW_SECONDS


async def test_a_sensor_is_read_at_its_period() -> None:
    """From the begin of one read to the begin of the next."""
    sensor = FakeSensor(lambda: load(40), period_seconds=5)
    control = ControlLoop(sensor)
    async with control.running():
        await asyncio.sleep(60)
    assert {after - before for before, after in itertools.pairwise(sensor.reads)} == {5}
    assert control.metric("sensor_reads_total", outcome="new") == 13


def in_turn(*answers: LoadReading | None) -> Callable[[], LoadReading | None]:
    """A sensor's answers in this order, the last one forever."""
    remaining: Iterator[LoadReading | None] = itertools.chain(answers, itertools.repeat(answers[-1]))
    return lambda: next(remaining)


async def test_a_repeated_or_late_reading_is_not_newer() -> None:
    """The monitor keeps the newest, which grows old."""
    newest, late = load(40, taken_at=wall_clock() - 10), load(90, taken_at=wall_clock() - 70)
    control = ControlLoop(FakeSensor(in_turn(newest, newest, late, None)))
    async with control.running():
        await asyncio.sleep(6)
        assert control.load.newest == newest
        assert control.reading().load_age_seconds == pytest.approx(16)
    assert control.metric("sensor_reads_total", outcome="new") == 1
    assert control.metric("sensor_reads_total", outcome="nothing_new") == 6


@pytest.mark.parametrize("step_seconds", [40.0, 3600.0])
async def test_after_a_clock_is_set_back_readings_count_again(step_seconds: float) -> None:
    """The newest reading came from a clock that was ahead: later readings seem older, and are newer."""
    ahead = load(40, taken_at=wall_clock() + step_seconds)
    control = ControlLoop(FakeSensor(lambda: load(90)))
    control.load.newest = ahead
    async with control.running():
        await asyncio.sleep(5)
        assert control.load.newest is not ahead
        assert control.load.newest.cpu_percent == 90
        assert control.load.age_seconds < step_seconds
        assert control.metric("sensor_reads_total", outcome="new") == 6


@pytest.mark.parametrize("error", [RuntimeError("no such metric"), TypeError(), KeyError("x"), OSError(5, "I/O")])
async def test_no_exception_of_a_sensor_stops_the_regulator(error: Exception) -> None:
    """It decides every second all the same, and the status names the problem."""

    def fail() -> LoadReading | None:
        raise error

    control = ControlLoop(FakeSensor(fail))
    async with control.running():
        await asyncio.sleep(10)
        assert control.metric("decisions_total", reason="steady") == 10
        assert control.regulator.status().sensor.problem
    assert control.metric("sensor_reads_total", outcome="failed") == 11


async def test_a_hanging_sensor_is_given_up_read_by_read() -> None:
    """Each read has its limit; when the sensor answers again its readings count again."""
    sensor = FakeSensor(lambda: load(40))
    sensor.hangs = True
    control = ControlLoop(sensor, retry=RETRY)
    async with control.running():
        await asyncio.sleep(60)
        assert 5 <= len(sensor.reads) <= 7
        assert control.metric("decisions_total", reason="steady") == 60
        assert control.regulator.status().sensor.problem == "fake: no answer within 8 s"
        sensor.hangs = False
        await asyncio.sleep(60)
        assert control.reading().load_age_seconds <= 1
        assert control.regulator.status().sensor.problem == ""


async def test_an_invalid_reading_is_none() -> None:
    """The monitor does not keep it, and the last valid reading grows old."""
    control = ControlLoop(FakeSensor(in_turn(load(40), load(400))))
    async with control.running():
        await asyncio.sleep(5)
        assert control.load.newest is not None
        assert control.load.newest.cpu_percent == 40
        assert control.regulator.status().sensor.problem == "fake: a load of 400 % cannot be true"
        assert control.metric("sensor_reads_total", outcome="invalid") == 5


async def test_a_failing_sensor_is_few_log_lines_and_its_recovery_one() -> None:
    """The 1st, 2nd, 4th … failure in a row, then the recovery; one line each when readings become stale and fresh."""
    fails = True

    def answer() -> LoadReading | None:
        if fails:
            raise OSError("unreachable")
        return load(40)

    control = ControlLoop(FakeSensor(answer))
    with structlog.testing.capture_logs() as lines:
        async with control.running():
            await asyncio.sleep(100)
            fails = False
            await asyncio.sleep(2)
    logged = [line for line in lines if line["event"].startswith("sensor.")]
    assert [line["event"] for line in logged] == [
        *["sensor.failed"] * 7,
        "sensor.stale",
        "sensor.recovered",
        "sensor.fresh",
    ]
    assert logged[0] == {
        "event": "sensor.failed",
        "log_level": "warning",
        "source": "fake",
        "outcome": "failed",
        "reads_failed": 1,
        "newest_age_seconds": None,
        "detail": "fake: OSError: unreachable",
    }


async def test_without_newer_readings_a_sensor_becomes_stale() -> None:
    """Three periods and a minute after its window: services publish late by nature."""
    control = ControlLoop(FakeSensor(in_turn(load(40, window_seconds=60), None), period_seconds=60))
    async with control.running():
        await asyncio.sleep(299)
        assert not control.regulator.status().sensor.is_stale
        await asyncio.sleep(2)
        assert control.regulator.status().sensor.is_stale


async def test_no_reading_after_a_failure_is_no_recovery() -> None:
    """The problem stays until a reading comes, even one that repeats the newest."""
    answers: list[LoadReading | Exception | None] = [load(40, taken_at=EPOCH), OSError("denied"), None, None]

    def answer() -> LoadReading | None:
        next_one = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(next_one, Exception):
            raise next_one
        return next_one

    control = ControlLoop(FakeSensor(answer))
    with structlog.testing.capture_logs() as lines:
        async with control.running():
            await asyncio.sleep(20)
            assert control.regulator.status().sensor.problem == "fake: OSError: denied"
            answers[:] = [load(40, taken_at=EPOCH)]
            await asyncio.sleep(2)
            assert control.regulator.status().sensor.problem == ""
    logged = [
        (line["event"], line["reads_failed"])
        for line in lines
        if line["event"] in {"sensor.failed", "sensor.recovered"}
    ]
    assert logged == [("sensor.failed", 1), ("sensor.recovered", 1)]
