"""A fence around any sensor: it answers in time or not at all, tells the truth or nothing, and is not pestered."""

from __future__ import annotations

import asyncio
import random

from subscriber.adapters.load.sensor import Sensor, checked
from subscriber.errors import SensorError
from subscriber.observe.log import get_logger
from subscriber.signals import LoadReading

READ_SECONDS = 8.0
"""The longest a reading may take. Each of a sensor's own calls has a shorter limit, and says more when it is passed."""
CLOSE_SECONDS = 5.0
REST_FIRST_SECONDS = 1.0
REST_AT_MOST_SECONDS = 60.0

_log = get_logger()


def rest_seconds(failures: int, chance: float) -> float:
    """How long to leave a sensor alone after so many failures in a row, for a `chance` in 0 … 1.

    Doubling, with jitter of a half: the tasks of a fleet that were throttled together do not come back together.
    """
    longest = min(REST_AT_MOST_SECONDS, REST_FIRST_SECONDS * (1 << min(failures - 1, 20)))
    return longest * (0.5 + chance / 2)


class BoundedSensor:
    """A Sensor that keeps the protocol's promises whatever the one inside does.

    After a failure it rests: until the rest is over `read` says None and asks nobody.
    """

    def __init__(self, sensor: Sensor, read_seconds: float = READ_SECONDS) -> None:
        self._sensor = sensor
        self._read_seconds = read_seconds
        self._failures = 0
        self._rests_until = 0.0
        self.source = sensor.source
        self.period_seconds = sensor.period_seconds

    async def read(self) -> LoadReading | None:
        """As in the protocol, within `read_seconds`."""
        clock = asyncio.get_running_loop().time
        if clock() < self._rests_until:
            return None
        try:
            reading = await self._read()
        except SensorError:
            self._failures += 1
            self._rests_until = clock() + rest_seconds(self._failures, random.random())  # noqa: S311 – jitter, not a secret
            raise
        self._failures = 0
        return reading

    async def _read(self) -> LoadReading | None:
        try:
            async with asyncio.timeout(self._read_seconds):
                reading = await self._sensor.read()
            if reading is not None:
                checked(reading.cpu_percent)
        except SensorError as error:
            raise SensorError(f"{self.source}: {error}") from error
        except TimeoutError as error:
            raise SensorError(f"{self.source}: no answer within {self._read_seconds:g} s") from error
        except Exception as error:  # whatever a service answers, control must go on without it
            raise SensorError(f"{self.source}: {type(error).__name__}: {error}") from error
        return reading

    async def close(self) -> None:
        """As in the protocol, within a few seconds."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._sensor.close()
        except Exception as error:  # noqa: BLE001 - what cannot be closed goes with the process
            _log.warning("load.not_closed", source=self.source, detail=repr(error))
