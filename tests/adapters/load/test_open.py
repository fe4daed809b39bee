"""The sensor of the operator's choice: found beside the line, never waited for, looked for again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from subscriber.adapters.load import open as load_chosen
from subscriber.adapters.load.open import ChosenSensor
from subscriber.adapters.load.sensor import Sensor, SensorOptions
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.errors import SensorError
from subscriber.signals import LoadReading

OPTIONS = SensorOptions(
    source="auto",
    store=StoreOptions(
        url="postgresql://localhost/none", schema="subscriber", write_timeout_seconds=1, connections_max=1
    ),
    hosts=("localhost",),
)
READING = LoadReading(cpu_percent=42.0, taken_at=1.0, window_seconds=1.0)
Search = Callable[[SensorOptions], Coroutine[Any, Any, Sensor | None]]


class Found:
    """A sensor that answers."""

    source = "local"
    period_seconds = 7.0

    def __init__(self) -> None:
        self.is_closed = False

    async def read(self) -> LoadReading | None:
        """Always the same."""
        return READING

    async def close(self) -> None:
        """Remembered."""
        self.is_closed = True


def searching(monkeypatch: pytest.MonkeyPatch, *outcomes: Sensor | Exception | None) -> list[SensorOptions]:
    """Searches end like this, one after the other; the list fills with what was searched for."""
    searches: list[SensorOptions] = []

    async def search(options: SensorOptions) -> Sensor | None:
        outcome = outcomes[len(searches)]
        searches.append(options)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(load_chosen, "open_sensor", search)
    return searches


async def test_it_says_nothing_until_a_source_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is asked often until then, afterwards as often as the source deserves."""
    searching(monkeypatch, Found())
    sensor = ChosenSensor(OPTIONS)
    assert (sensor.source, sensor.period_seconds) == ("auto", 1.0)
    assert [await _later(sensor), await _later(sensor)] == [None, None]  # the first begins, the second finds
    assert await sensor.read() == READING
    assert (sensor.source, sensor.period_seconds) == ("local", 7.0)


async def test_a_search_that_finds_nothing_is_repeated_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with every read; when the pause is over."""
    searches = searching(monkeypatch, None, Found())
    sensor = ChosenSensor(OPTIONS)
    for _ in range(5):
        assert await _later(sensor) is None
    assert len(searches) == 1
    monkeypatch.setattr(load_chosen, "LOOK_AGAIN_SECONDS", 0.0)
    sensor = ChosenSensor(OPTIONS)
    searches.clear()
    while await _later(sensor) is None:
        pass
    assert len(searches) == 2


async def test_a_search_that_fails_fails_one_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads is told once, in the search's own words."""
    searching(monkeypatch, SensorError("no permission"))
    sensor = ChosenSensor(OPTIONS)
    await _later(sensor)
    with pytest.raises(SensorError, match="no permission"):
        await sensor.read()
    assert await sensor.read() is None


async def test_closing_ends_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search that still runs, or the sensor that was found."""
    began = asyncio.Event()

    async def search(_options: SensorOptions) -> Sensor | None:
        began.set()
        await asyncio.Event().wait()
        return None

    monkeypatch.setattr(load_chosen, "open_sensor", search)
    sensor = ChosenSensor(OPTIONS)
    await sensor.read()
    await began.wait()
    async with asyncio.timeout(1):
        await sensor.close()
    found = Found()
    searching(monkeypatch, found)
    sensor = ChosenSensor(OPTIONS)
    while await _later(sensor) is None:
        pass
    await sensor.close()
    assert found.is_closed


async def _later(sensor: ChosenSensor) -> LoadReading | None:
    """One read, and time for what it began."""
    reading = await sensor.read()
    for _ in range(3):
        await asyncio.sleep(0)
    return reading
