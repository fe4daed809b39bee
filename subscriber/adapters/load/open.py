"""The door to the sensors of the database's load: from what an operator chose to what the regulator reads.

The sensor of the operator's choice, from the moment there is one.

To find the best source may take a minute of time-outs, and there may be none yet. The line does not wait for it:
until a source is found this sensor simply has nothing to say.
"""

from __future__ import annotations

import asyncio

from subscriber.adapters.aws.calls import AwsCalls
from subscriber.adapters.load.auto import best_that_answers
from subscriber.adapters.load.bounded import BoundedSensor
from subscriber.adapters.load.cloudwatch import CloudWatchSensor
from subscriber.adapters.load.connection import LoadConnection
from subscriber.adapters.load.instance_finder import InstanceFinder, endpoint_of
from subscriber.adapters.load.local import LocalSensor
from subscriber.adapters.load.performance_insights import PerformanceInsightsSensor
from subscriber.adapters.load.sensor import LoadSource, Sensor, SensorOptions
from subscriber.adapters.load.statements import ActiveSessionsSensor, AuroraStatSensor
from subscriber.observe.log import get_logger
from subscriber.signals import LoadReading

_log = get_logger()


async def open_sensor(options: SensorOptions) -> Sensor | None:
    """The sensor to read; None for `none`, and for `auto` where no source answers: then it may be tried again later.

    A source that was named is not tried here: its failures are those of its readings. `auto` tries, for ten seconds
    a source at most; the daemon need not wait for it.

    Args:
        options: the source, and what is known of the database.
    """
    endpoint = endpoint_of(options.hosts)
    calls = AwsCalls(endpoint.region if endpoint is not None else options.region)
    finder = InstanceFinder(options, calls)

    def make(source: LoadSource) -> Sensor:
        return BoundedSensor(_sensor(source, options, finder, calls))

    match options.source:
        case "none":
            return None
        case "auto":
            return await best_that_answers(make, finder)
        case source:
            _log.info("load.source", source=source, chosen_by="SUBSCRIBER_DATABASE_LOAD_SOURCE")
            return make(source)


def _sensor(
    source: LoadSource,
    options: SensorOptions,
    finder: InstanceFinder,
    calls: AwsCalls,
) -> Sensor:
    connection = LoadConnection(options.store)
    match source:
        case "performance_insights":
            return PerformanceInsightsSensor(finder, calls)
        case "cloudwatch":
            return CloudWatchSensor(finder, calls)
        case "aurora_stat":
            return AuroraStatSensor(connection, finder, calls)
        case "active_sessions":
            return ActiveSessionsSensor(connection, finder, calls)
        case "local":
            return LocalSensor(connection, options.vcpus)
        case "auto" | "none":
            raise ValueError(f"{source} is not a sensor")


LOOK_AGAIN_SECONDS = 300.0
"""After a search that found nothing: permissions are granted and databases moved by hand."""

ASK_AGAIN_SECONDS = 1.0
"""How often it is worth asking whether the search has ended."""


class ChosenSensor:
    """A Sensor that opens itself at its first read.

    Args:
        options: the source, and what is known of the database.
    """

    def __init__(self, options: SensorOptions) -> None:
        self._options = options
        self._sensor: Sensor | None = None
        self._search: asyncio.Task[Sensor | None] | None = None
        self._look_again_at = 0.0

    @property
    def source(self) -> str:
        """What was found, or what was asked for as long as nothing is."""
        return self._sensor.source if self._sensor else self._options.source

    @property
    def period_seconds(self) -> float:
        """How often asking makes sense."""
        return self._sensor.period_seconds if self._sensor else ASK_AGAIN_SECONDS

    async def read(self) -> LoadReading | None:
        """The newest finished window; None: nothing yet.

        Raises:
            SensorError: the sensor has failed.
        """
        if self._sensor is None:
            self._look()
            return None
        return await self._sensor.read()

    async def close(self) -> None:
        """End the search, or the sensor."""
        if self._search is not None:
            self._search.cancel()
            await asyncio.gather(self._search, return_exceptions=True)
        if self._sensor is not None:
            await self._sensor.close()

    def _look(self) -> None:
        """Begin a search, or take what one has found; what it raises is for the caller of `read`."""
        now = asyncio.get_running_loop().time()
        if self._search is None and now >= self._look_again_at:
            self._search = asyncio.create_task(open_sensor(self._options), name="look for a sensor")
        elif self._search is not None and self._search.done():
            search, self._search = self._search, None
            self._look_again_at = now + LOOK_AGAIN_SECONDS
            self._sensor = search.result()
