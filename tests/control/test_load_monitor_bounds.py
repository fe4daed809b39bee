"""What any sensor may do wrong, and that it never matters: in virtual time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.adapters.load.bounded import READ_SECONDS, REST_AT_MOST_SECONDS, BoundedSensor, rest_seconds
from subscriber.adapters.load.sensor import checked
from subscriber.errors import SensorError
from subscriber.signals import LoadReading
from tests.fakes.virtual_time import VirtualTimeLoop

READING = LoadReading(cpu_percent=42.0, taken_at=1_700_000_000.0, window_seconds=1.0)


class FakeSensor:
    """A sensor that does what it is told; it counts how often it was asked."""

    def __init__(self, act: Callable[[], Awaitable[LoadReading | None]]) -> None:
        self.act = act
        self.asked = 0
        self.closed = False
        self.source = "fake"
        self.period_seconds = 3.0

    async def read(self) -> LoadReading | None:
        """Do it."""
        self.asked += 1
        return await self.act()

    async def close(self) -> None:
        """Remember it."""
        self.closed = True


def answering(reading: LoadReading | None) -> Callable[[], Awaitable[LoadReading | None]]:
    """A sensor that gives this."""

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


def in_virtual_time(test: Callable[[], Awaitable[None]]) -> None:
    """Run a test on a loop whose clock jumps."""

    async def run() -> None:
        await test()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(run())


@given(st.floats(min_value=0, max_value=100))
def test_a_load_that_can_be_true_is_kept(percent: float) -> None:
    """Everything from 0 to 100 is taken as it is."""
    assert checked(percent) == percent


@given(st.floats().filter(lambda percent: not 0 <= percent <= 101))
def test_a_lie_is_refused(percent: float) -> None:
    """What is no number, negative, infinite or too much is no load."""
    with pytest.raises(SensorError, match="cannot be true"):
        checked(percent)


def test_rounding_is_no_lie() -> None:
    """A mean that came out a little above a hundred is a hundred."""
    assert checked(100.4) == 100.0


def test_an_answer_passes() -> None:
    """A sensor that does its work is not noticed to be fenced in."""
    sensor = FakeSensor(answering(READING))
    bounded = BoundedSensor(sensor)
    assert (bounded.source, bounded.period_seconds) == ("fake", 3.0)

    async def test() -> None:
        assert await bounded.read() == READING
        sensor.act = answering(None)
        assert await bounded.read() is None

    in_virtual_time(test)


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (failing(SensorError("the service said no")), "fake: the service said no"),
        (failing(ValueError("not JSON")), "fake: ValueError: not JSON"),
        (failing(KeyError("Timestamp")), "fake: KeyError: 'Timestamp'"),
        (hanging, "fake: no answer within 8 s"),
        (answering(LoadReading(math.nan, 0.0, 1.0)), "fake: a load of nan % cannot be true"),
        (answering(LoadReading(math.inf, 0.0, 1.0)), "fake: a load of inf % cannot be true"),
        (answering(LoadReading(-1.0, 0.0, 1.0)), "fake: a load of -1 % cannot be true"),
        (answering(LoadReading(400.0, 0.0, 1.0)), "fake: a load of 400 % cannot be true"),
    ],
)
def test_whatever_goes_wrong_is_one_sentence_in_time(
    act: Callable[[], Awaitable[LoadReading | None]], sentence: str
) -> None:
    """A sensor that fails, hangs or lies raises SensorError, and nothing else."""

    async def test() -> None:
        began = asyncio.get_running_loop().time()
        with pytest.raises(SensorError) as caught:
            await BoundedSensor(FakeSensor(act)).read()
        assert str(caught.value) == sentence
        assert asyncio.get_running_loop().time() - began <= READ_SECONDS

    in_virtual_time(test)


def test_after_a_failure_it_is_left_alone() -> None:
    """While it rests nobody asks it; then it is asked again, and an answer ends the series."""
    sensor = FakeSensor(failing(SensorError("throttled")))
    bounded = BoundedSensor(sensor)

    async def test() -> None:
        for failures in range(1, 8):
            with pytest.raises(SensorError):
                await bounded.read()
            assert await bounded.read() is None
            assert sensor.asked == failures
            await asyncio.sleep(rest_seconds(failures, 1.0))
        sensor.act = answering(READING)
        assert await bounded.read() == READING
        sensor.act = failing(SensorError("again"))
        with pytest.raises(SensorError):
            await bounded.read()
        await asyncio.sleep(rest_seconds(1, 1.0))
        sensor.act = answering(READING)
        assert await bounded.read() == READING

    in_virtual_time(test)


@given(st.integers(min_value=1, max_value=10_000), st.floats(min_value=0, max_value=1))
def test_a_rest_is_bounded(failures: int, chance: float) -> None:
    """However long it goes on, the next try is a minute away at most, and at least half a second."""
    assert 0.5 <= rest_seconds(failures, chance) <= REST_AT_MOST_SECONDS


def test_a_cancellation_passes_and_is_no_failure() -> None:
    """A stop that meets a reading under way is a cancellation, not a failure of the sensor."""
    sensor = FakeSensor(hanging)
    bounded = BoundedSensor(sensor)

    async def test() -> None:
        task = asyncio.create_task(bounded.read(), name="read")
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        sensor.act = answering(READING)
        assert await bounded.read() == READING

    in_virtual_time(test)


def test_closing_never_raises() -> None:
    """A sensor that cannot be closed is a line of the log."""

    class Stuck(FakeSensor):
        async def close(self) -> None:
            await asyncio.Event().wait()

    in_virtual_time(BoundedSensor(Stuck(hanging)).close)
