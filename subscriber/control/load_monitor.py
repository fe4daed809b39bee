"""Reads the database's load in a task of its own: a sensor that fails, lies or hangs costs its readings, nothing else.

The monitor opens the sensor, limits the time of each read, validates each reading, backs off after failures and
reports stale readings. It keeps the newest valid reading; the governor sees that reading with its age.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from typing import Any, Literal, Protocol, TypeAlias

from subscriber.control.reading import MAX_CLOCK_SKEW_SECONDS, load_flaw
from subscriber.errors import SensorError
from subscriber.flow.backoff import Backoff, is_power_of_two
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics
from subscriber.signals import LoadReading

READ_SECONDS = 8.0
"""Time limit of one read. Each call that a sensor makes has a shorter limit and a more precise message."""
CLOSE_SECONDS = 5.0
RETRY = Backoff(first_seconds=1.0, max_seconds=60.0, jitter=0.5)
"""Between failed reads."""

SEARCH_PERIOD_SECONDS = 1.0
"""How often the monitor checks whether the sensor is open."""
SEARCH_AGAIN_SECONDS = 300.0
"""After a search that found no sensor: operators grant permissions and move databases meanwhile."""

LOST_AFTER_SECONDS = 300.0
"""A sensor that `auto` chose and that is stale counts as lost when it has brought nothing new for so long: then the
search begins anew. Permissions are taken away, and a failover may lead to an instance of another kind."""

PAUSE_AT_LEAST_SECONDS = 0.1

PERIODS_UNTIL_STALE = 3
PUBLICATION_DELAY_SECONDS = 60.0
"""A reading is stale when it is older than its window, so many periods, and this: services publish late."""

Outcome: TypeAlias = Literal["new", "nothing_new", "invalid", "failed", "timed_out"]
"""Of one read, as the metric `sensor_reads` counts them: a newer reading, none, an invalid one, an error, no answer."""

_log = get_logger()


class Sensor(Protocol):
    """A source of database load: how busy was the CPU, of the capacity it had, in the newest window that has ended?

    One task reads it.
    """

    @property
    def source(self) -> str:
        """Its name, as in SUBSCRIBER_DATABASE_LOAD_SOURCE."""
        ...

    @property
    def period_seconds(self) -> float:
        """How often reading makes sense, from the begin of one `read` to the begin of the next."""
        ...

    async def read(self) -> LoadReading | None:
        """The newest finished window, maybe the same as before; None: there is none yet.

        Raises:
            SensorError: there is no answer; the text says why in one sentence.
        """
        ...

    async def close(self) -> None:
        """Release what it holds; may be called twice."""
        ...


OpenSensor: TypeAlias = Callable[[], Coroutine[Any, Any, Sensor | None]]
"""Opens the sensor that an operator chose; None: no source answers now. It may take minutes."""


class ReadError(SensorError):
    """A read brought no valid reading; `outcome` says in which way."""

    def __init__(self, outcome: Outcome, text: str) -> None:
        super().__init__(text)
        self.outcome = outcome


async def read_sensor(sensor: Sensor, *, wall_clock: Callable[[], float] = time.time) -> LoadReading | None:
    """One read within `READ_SECONDS`; only a valid reading is returned.

    Raises:
        ReadError: no answer, a failure, or an invalid reading; one sentence that begins with the source.
    """
    try:
        async with asyncio.timeout(READ_SECONDS):
            reading = await sensor.read()
    except SensorError as error:
        raise ReadError("failed", f"{sensor.source}: {error}") from error
    except TimeoutError as error:
        raise ReadError("timed_out", f"{sensor.source}: no answer within {READ_SECONDS:g} s") from error
    except Exception as error:  # whatever a service answers, the governor must go on without it
        raise ReadError("failed", f"{sensor.source}: {type(error).__name__}: {error}") from error
    if reading is not None and (flaw := load_flaw(reading, wall_clock() - reading.taken_at)):
        raise ReadError("invalid", f"{sensor.source}: {flaw}")
    return reading


async def close_sensor(sensor: Sensor) -> None:
    """Close it within a few seconds; a failure is logged and not raised."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await sensor.close()
    except Exception as error:  # noqa: BLE001 – what cannot be closed ends with the process
        _log.warning("load.not_closed", source=sensor.source, detail=repr(error))


class LoadMonitor:
    """The newest reading of one sensor, and the task that reads it.

    Args:
        source: what the operator chose; the name until a sensor is open.
        open_sensor: called until it returns a sensor; None: the load is not read.
        metrics: the catalog.
        wall_clock: Unix seconds, the clock of the readings.
        retry: the delay after failed reads.
    """

    def __init__(
        self,
        source: str,
        open_sensor: OpenSensor | None,
        metrics: Metrics,
        *,
        wall_clock: Callable[[], float] = time.time,
        retry: Backoff = RETRY,
    ) -> None:
        self._chosen_source = source
        self._open_sensor = open_sensor
        self._metrics = metrics
        self._wall_clock = wall_clock
        self._retry = retry
        self._sensor: Sensor | None = None
        self._search: asyncio.Task[Sensor | None] | None = None
        self._search_at = -math.inf
        self._retry_at = -math.inf
        self._alive_at = -math.inf
        """When the sensor brought its newest reading, or was opened; loop's clock."""
        self._failures = 0
        """Failed reads since the last valid reading."""
        self._was_stale = False
        self._began_at = math.inf
        """Unix seconds; from then on there should be readings."""
        self.newest: LoadReading | None = None
        self.problem = ""
        """Why the last read failed; empty: it did not."""

    @property
    def source(self) -> str:
        """The sensor's name; until one is open, what the operator chose."""
        return self._sensor.source if self._sensor else self._chosen_source

    @property
    def period_seconds(self) -> float | None:
        """How often the sensor is read; None: never."""
        if self._open_sensor is None:
            return None
        return self._sensor.period_seconds if self._sensor else SEARCH_PERIOD_SECONDS

    @property
    def age_seconds(self) -> float:
        """Since the end of the newest reading's window; 0 where there is none."""
        return max(0.0, self._wall_clock() - self.newest.taken_at) if self.newest else 0.0

    @property
    def is_stale(self) -> bool:
        """Whether there should be a newer reading than there is."""
        period_seconds = self.period_seconds
        if period_seconds is None:
            return False
        newest_at, window_seconds = self._began_at, 0.0
        if self.newest:
            newest_at, window_seconds = self.newest.taken_at, self.newest.window_seconds
        usual_seconds = window_seconds + PERIODS_UNTIL_STALE * period_seconds + PUBLICATION_DELAY_SECONDS
        return self._wall_clock() - newest_at > usual_seconds

    async def run(self) -> None:
        """Read once a period; ends by cancellation, or at once where the load is not read."""
        if self._open_sensor is None:
            return
        clock = asyncio.get_running_loop().time
        self._began_at = self._wall_clock()
        while True:
            began_at = clock()
            outcome = await self._read(self._open_sensor)
            self._metrics.sensor_reads.labels(outcome).inc()
            self._log_changes(outcome)
            remaining = began_at + (self.period_seconds or 0.0) - clock()
            await asyncio.sleep(max(PAUSE_AT_LEAST_SECONDS, remaining))

    async def close(self) -> None:
        """End the search, or close the sensor; it raises nothing and may be called twice."""
        if self._search is not None:
            self._search.cancel()
            (found,) = await asyncio.gather(self._search, return_exceptions=True)
            self._search = None
            self._sensor = None if isinstance(found, BaseException) else found
        if self._sensor is not None:
            await close_sensor(self._sensor)

    async def _read(self, open_sensor: OpenSensor) -> Outcome:
        clock = asyncio.get_running_loop().time
        try:
            if self._is_lost(clock()):
                await self._let_go()
            sensor = self._sensor or await self._found_sensor(open_sensor)
            if sensor is None or clock() < self._retry_at:
                return "nothing_new"
            reading = await read_sensor(sensor, wall_clock=self._wall_clock)
        except Exception as error:  # noqa: BLE001 – whatever a sensor does, the pipeline goes on
            self.problem = str(error) or type(error).__name__
            self._failures += 1
            self._retry_at = clock() + self._retry.delay_seconds(self._failures)
            return error.outcome if isinstance(error, ReadError) else "failed"
        return "nothing_new" if reading is None else self._accept(reading)

    async def _found_sensor(self, open_sensor: OpenSensor) -> Sensor | None:
        """The sensor, as soon as it is open; a long search goes on in a task of its own from period to period."""
        now = asyncio.get_running_loop().time()
        if self._search is None:
            if now < self._search_at:
                return None
            self._search = asyncio.create_task(open_sensor(), name="open sensor")
        done, _ = await asyncio.wait({self._search}, timeout=SEARCH_PERIOD_SECONDS)
        if not done:
            return None
        search, self._search = self._search, None
        self._search_at = now + SEARCH_AGAIN_SECONDS
        self._sensor = search.result()
        self._alive_at = now
        return self._sensor

    def _is_lost(self, now: float) -> bool:
        """Whether another source may be better than the one that `auto` has chosen."""
        is_chosen_by_auto = self._sensor is not None and self._chosen_source == "auto"
        return is_chosen_by_auto and self.is_stale and now - self._alive_at >= LOST_AFTER_SECONDS

    async def _let_go(self) -> None:
        """Close the sensor, so that the search begins anew."""
        _log.warning("sensor.lost", **self._state())
        if self._sensor is not None:
            await close_sensor(self._sensor)  # it stays ours until then: a cancelled close is tried again at the stop
        self._sensor = None
        self._search_at = self._retry_at = -math.inf

    def _accept(self, reading: LoadReading) -> Outcome:
        self.problem = ""
        if self.newest and self.newest.taken_at > self._wall_clock() + MAX_CLOCK_SKEW_SECONDS:
            self.newest = None  # our clock was set back: this reading is newer, though its time is earlier
        if self.newest and reading.taken_at <= self.newest.taken_at:
            return "nothing_new"
        self.newest = reading
        self._alive_at = asyncio.get_running_loop().time()
        return "new"

    def _log_changes(self, outcome: Outcome) -> None:
        if outcome not in {"new", "nothing_new"}:
            if is_power_of_two(self._failures):
                _log.warning("sensor.failed", outcome=outcome, reads_failed=self._failures, **self._state())
        elif self._failures and not self.problem:  # no reading, as during the backoff, is no recovery
            _log.info("sensor.recovered", source=self.source, reads_failed=self._failures)
            self._failures = 0
        if self.is_stale != self._was_stale:
            self._was_stale = self.is_stale
            log, event = (_log.warning, "sensor.stale") if self._was_stale else (_log.info, "sensor.fresh")
            log(event, **self._state())

    def _state(self) -> dict[str, object]:
        age_seconds = round(self.age_seconds, 1) if self.newest else None
        return {"source": self.source, "newest_age_seconds": age_seconds, "detail": self.problem}
