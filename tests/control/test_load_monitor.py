"""The load: a sensor that fails, lies or hangs costs its readings and nothing else."""

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

from subscriber.control.load_monitor import flaw_in
from subscriber.signals import CLOCKS_DIFFER_SECONDS, LoadReading
from tests.control.loop import EPOCH, FakeSensor, Stage, load, wall_clock

NOW = 1_800_000_000.0
HONEST = LoadReading(cpu_percent=50, taken_at=NOW - 1, window_seconds=1)


@pytest.mark.parametrize(
    "changed",
    [
        {"cpu_percent": math.nan},
        {"cpu_percent": math.inf},
        {"cpu_percent": -0.1},
        {"cpu_percent": 100.1},
        {"taken_at": math.nan},
        {"taken_at": NOW + CLOCKS_DIFFER_SECONDS + 1},
        {"window_seconds": 0.0},
        {"window_seconds": -1.0},
        {"window_seconds": math.inf},
    ],
)
def test_what_cannot_be_true_is_refused(changed: dict[str, float]) -> None:
    """With a reason for the log."""
    assert flaw_in(HONEST, NOW) is None
    assert flaw_in(msgspec.structs.replace(HONEST, **changed), NOW)


@given(reading=st.builds(LoadReading, *[st.floats() for _ in range(3)]), now=st.floats(0, 4e9))
def test_what_is_believed_is_a_share_of_a_window_of_the_past(reading: LoadReading, now: float) -> None:
    """Whatever a sensor may say."""
    if flaw_in(reading, now) is None:
        assert 0 <= reading.cpu_percent <= 100
        assert 0 < reading.window_seconds < math.inf
        assert reading.taken_at <= now + CLOCKS_DIFFER_SECONDS


async def test_a_sensor_is_read_at_its_period() -> None:
    """From the begin of one read to the begin of the next."""
    stage = Stage(FakeSensor(lambda: load(40), period_seconds=5))
    async with stage.running():
        await asyncio.sleep(60)
    sensor = stage.load._sensor
    assert isinstance(sensor, FakeSensor)
    assert {after - before for before, after in itertools.pairwise(sensor.reads)} == {5}
    assert stage.metric("sensor_reads_total", outcome="news") == 13


def one_after_the_other(*answers: LoadReading | None) -> Callable[[], LoadReading | None]:
    """A sensor's answers, the last one for ever."""
    rest: Iterator[LoadReading | None] = itertools.chain(answers, itertools.repeat(answers[-1]))
    return lambda: next(rest)


async def test_a_repeated_or_late_reading_is_no_news() -> None:
    """The newest stays, and grows old."""
    newest, late = load(40, taken_at=wall_clock() - 10), load(90, taken_at=wall_clock() - 70)
    stage = Stage(FakeSensor(one_after_the_other(newest, newest, late, None)))
    async with stage.running():
        await asyncio.sleep(6)
        assert stage.load.newest == newest
        assert stage.reading().load_age_seconds == pytest.approx(16)
    assert stage.metric("sensor_reads_total", outcome="news") == 1
    assert stage.metric("sensor_reads_total", outcome="nothing_new") == 6


@pytest.mark.parametrize("step_seconds", [40.0, 3600.0])
async def test_a_clock_that_is_set_back_does_not_silence_the_sensor(step_seconds: float) -> None:
    """It was ahead, and so was the newest reading: those that follow seem to be older, and are news."""
    ahead = load(40, taken_at=wall_clock() + step_seconds)
    stage = Stage(FakeSensor(lambda: load(90)))
    stage.load.newest = ahead
    async with stage.running():
        await asyncio.sleep(5)
        assert stage.load.newest is not ahead
        assert stage.load.newest.cpu_percent == 90
        assert stage.load.age_seconds < step_seconds
        assert stage.metric("sensor_reads_total", outcome="news") == 6


@pytest.mark.parametrize("error", [RuntimeError("no such metric"), TypeError(), KeyError("x"), OSError(5, "I/O")])
async def test_whatever_a_sensor_raises_the_line_goes_on(error: Exception) -> None:
    """The regulator decides every second all the same, and the page tells what is wrong."""

    def fail() -> LoadReading | None:
        raise error

    stage = Stage(FakeSensor(fail))
    async with stage.running():
        await asyncio.sleep(10)
        assert stage.metric("decisions_total", reason="steady") == 10
        assert stage.regulator.status().sensor.problem
    assert stage.metric("sensor_reads_total", outcome="failed") == 11


async def test_a_sensor_that_hangs_is_given_up_read_by_read() -> None:
    """Each read has its limit; when it answers again it is believed again."""
    sensor = FakeSensor(lambda: load(40))
    sensor.hangs = True
    stage = Stage(sensor)
    async with stage.running():
        await asyncio.sleep(60)
        assert 5 <= len(sensor.reads) <= 7
        assert stage.metric("decisions_total", reason="steady") == 60
        assert stage.regulator.status().sensor.problem == "no answer within 10 s"
        sensor.hangs = False
        await asyncio.sleep(15)
        assert stage.reading().load_age_seconds <= 1
        assert stage.regulator.status().sensor.problem == ""


async def test_a_lie_is_no_reading() -> None:
    """Neither is it kept, nor does it make the last true one younger."""
    stage = Stage(FakeSensor(one_after_the_other(load(40), load(400))))
    async with stage.running():
        await asyncio.sleep(5)
        assert stage.load.newest is not None
        assert stage.load.newest.cpu_percent == 40
        assert stage.regulator.status().sensor.problem == "400 % of the capacity cannot be in use"


async def test_trouble_is_few_lines_and_its_end_is_one() -> None:
    """The 1st, 2nd, 4th … failure in a row, then the return; and of a silence its begin and its end."""
    fails = True

    def answer() -> LoadReading | None:
        if fails:
            raise OSError("unreachable")
        return load(40)

    stage = Stage(FakeSensor(answer))
    with structlog.testing.capture_logs() as lines:
        async with stage.running():
            await asyncio.sleep(100)
            fails = False
            await asyncio.sleep(2)
    told = [line for line in lines if line["event"].startswith("sensor.")]
    assert [line["event"] for line in told] == [
        *["sensor.failed"] * 7,
        "sensor.stale",
        "sensor.recovered",
        "sensor.fresh",
    ]
    assert told[0] == {
        "event": "sensor.failed",
        "log_level": "warning",
        "source": "fake",
        "outcome": "failed",
        "reads_failed": 1,
        "newest_age_seconds": None,
        "detail": "unreachable",
    }


async def test_a_sensor_that_says_nothing_new_becomes_stale() -> None:
    """Three periods and a minute after its window: services publish late by nature."""
    stage = Stage(FakeSensor(one_after_the_other(load(40, window_seconds=60), None), period_seconds=60))
    async with stage.running():
        await asyncio.sleep(299)
        assert not stage.regulator.status().sensor.is_stale
        await asyncio.sleep(2)
        assert stage.regulator.status().sensor.is_stale


async def test_a_sensor_that_rests_has_not_returned() -> None:
    """One that says nothing after a failure has its problem still; one that repeats itself answers again."""
    answers: list[LoadReading | Exception | None] = [load(40, taken_at=EPOCH), OSError("denied"), None, None]

    def answer() -> LoadReading | None:
        next_one = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(next_one, Exception):
            raise next_one
        return next_one

    stage = Stage(FakeSensor(answer))
    with structlog.testing.capture_logs() as lines:
        async with stage.running():
            await asyncio.sleep(20)
            assert stage.regulator.status().sensor.problem == "denied"
            answers[:] = [load(40, taken_at=EPOCH)]
            await asyncio.sleep(2)
            assert stage.regulator.status().sensor.problem == ""
    told = [
        (line["event"], line["reads_failed"])
        for line in lines
        if line["event"] in {"sensor.failed", "sensor.recovered"}
    ]
    assert told == [("sensor.failed", 1), ("sensor.recovered", 1)]
