"""The database's load, read in a task of its own: a sensor that fails, lies or hangs costs its readings, nothing else.

Each read has a time limit, and what it brings is looked at before it is believed. A reading that is repeated or
comes late changes nothing; the newest one is kept and grows old, and who uses it looks at its age.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics
from subscriber.signals import CLOCKS_DIFFER_SECONDS, LoadReading

READ_AT_LEAST_SECONDS = 10.0
READ_AT_MOST_SECONDS = 30.0
"""Time limits of one read: its period within these. A sensor's own limits are shorter: it must know when it fails."""

PAUSE_AT_LEAST_SECONDS = 0.1

PERIODS_UNTIL_STALE = 3
LATE_BY_NATURE_SECONDS = 60.0
"""A reading counts as stale when it is older than its window, so many periods, and this: services publish late."""

Outcome: TypeAlias = Literal["news", "nothing_new", "refused", "failed", "timed_out"]

_log = get_logger()


class Sensor(Protocol):
    """Whoever can tell the database's load."""

    @property
    def source(self) -> str:
        """Its name, for the log and the page."""
        ...

    @property
    def period_seconds(self) -> float:
        """How often asking makes sense."""
        ...

    async def read(self) -> LoadReading | None:
        """The newest finished window; None: nothing yet."""
        ...


def flaw_in(reading: LoadReading, now: float) -> str | None:
    """Why `reading` cannot be true at `now` (Unix seconds), or None."""
    numbers = (reading.cpu_percent, reading.taken_at, reading.window_seconds)
    if not all(math.isfinite(number) for number in numbers):
        return "it has a part that is no number"
    if not 0 <= reading.cpu_percent <= 100:
        return f"{reading.cpu_percent:g} % of the capacity cannot be in use"
    if reading.window_seconds <= 0:
        return f"a window of {reading.window_seconds:g} s is none"
    if reading.taken_at > now + CLOCKS_DIFFER_SECONDS:
        return f"it was taken {reading.taken_at - now:.0f} s from now"
    return None


class LoadWatch:
    """The newest reading of one sensor, and the task that asks for it.

    Args:
        sensor: whom to ask; None: nobody, and there is never a reading.
        metrics: the catalog.
        wall_clock: Unix seconds, as the readings tell them.
    """

    def __init__(self, sensor: Sensor | None, metrics: Metrics, *, wall_clock: Callable[[], float] = time.time) -> None:
        self._sensor = sensor
        self._metrics = metrics
        self._wall_clock = wall_clock
        self._failures = 0
        self._was_stale = False
        self._began_at = math.inf
        """Unix seconds; from then on there should be readings."""
        self.newest: LoadReading | None = None
        self.problem = ""
        """What went wrong with the last read; empty: nothing."""

    @property
    def source(self) -> str:
        """The sensor's name, or `none`."""
        return self._sensor.source if self._sensor else "none"

    @property
    def period_seconds(self) -> float | None:
        """How often the sensor is asked."""
        return self._sensor.period_seconds if self._sensor else None

    @property
    def age_seconds(self) -> float:
        """Since the end of the newest reading's window; 0 where there is none."""
        return max(0.0, self._wall_clock() - self.newest.taken_at) if self.newest else 0.0

    @property
    def is_stale(self) -> bool:
        """Whether there should be a newer reading than there is."""
        if self._sensor is None:
            return False
        newest_at, window_seconds = self._began_at, 0.0
        if self.newest:
            newest_at, window_seconds = self.newest.taken_at, self.newest.window_seconds
        usual = window_seconds + PERIODS_UNTIL_STALE * self._sensor.period_seconds + LATE_BY_NATURE_SECONDS
        return self._wall_clock() - newest_at > usual

    async def run(self) -> None:
        """Read for ever; ends by cancellation, or at once without a sensor."""
        if self._sensor is None:
            return
        clock = asyncio.get_running_loop().time
        self._began_at = self._wall_clock()
        while True:
            began_at = clock()
            outcome = await self._read(self._sensor)
            self._metrics.sensor_reads.labels(outcome).inc()
            self._tell(outcome)
            remaining = began_at + self._sensor.period_seconds - clock()
            await asyncio.sleep(max(PAUSE_AT_LEAST_SECONDS, remaining))

    async def _read(self, sensor: Sensor) -> Outcome:
        limit_seconds = min(READ_AT_MOST_SECONDS, max(READ_AT_LEAST_SECONDS, sensor.period_seconds))
        try:
            async with asyncio.timeout(limit_seconds):
                reading = await sensor.read()
            return self._take(reading)
        except TimeoutError:
            self.problem = f"no answer within {limit_seconds:g} s"
            return "timed_out"
        except Exception as error:  # noqa: BLE001 - whatever a sensor does, the line goes on
            self.problem = str(error) or type(error).__name__
            return "failed"

    def _take(self, reading: LoadReading | None) -> Outcome:
        if reading is None:
            return "nothing_new"  # nor is a problem gone: a sensor that rests after a failure says None
        flaw = flaw_in(reading, self._wall_clock())
        self.problem = flaw or ""
        if flaw:
            return "refused"
        if self.newest and self.newest.taken_at > self._wall_clock() + CLOCKS_DIFFER_SECONDS:
            self.newest = None  # our clock was set back: what is read now is news, though it seems to be older
        if self.newest and reading.taken_at <= self.newest.taken_at:
            return "nothing_new"
        self.newest = reading
        return "news"

    def _tell(self, outcome: Outcome) -> None:
        if outcome in {"news", "nothing_new"}:
            if self._failures and not self.problem:
                _log.info("sensor.recovered", source=self.source, reads_failed=self._failures)
                self._failures = 0
        else:
            self._failures += 1
            if self._failures & (self._failures - 1) == 0:  # the 1st, 2nd, 4th, 8th …
                _log.warning("sensor.failed", outcome=outcome, reads_failed=self._failures, **self._state())
        if self.is_stale != self._was_stale:
            self._was_stale = self.is_stale
            log, event = (_log.warning, "sensor.stale") if self._was_stale else (_log.info, "sensor.fresh")
            log(event, **self._state())

    def _state(self) -> dict[str, object]:
        age_seconds = round(self.age_seconds, 1) if self.newest else None
        return {"source": self.source, "newest_age_seconds": age_seconds, "detail": self.problem}
