"""Opens the sensor of the database's load that the operator chose; the load monitor calls it and reads the sensor."""

from __future__ import annotations

from subscriber.adapters.aws.calls import AwsCalls
from subscriber.adapters.load.auto import best_source
from subscriber.adapters.load.cloudwatch import CloudWatchSensor
from subscriber.adapters.load.connection import LoadConnection
from subscriber.adapters.load.instance_finder import InstanceFinder, endpoint_of
from subscriber.adapters.load.local import LocalSensor
from subscriber.adapters.load.performance_insights import PerformanceInsightsSensor
from subscriber.adapters.load.sensor import SensorOptions
from subscriber.adapters.load.statements import ActiveSessionsSensor, AuroraStatSensor
from subscriber.choices import LoadSource
from subscriber.control.load_monitor import Sensor
from subscriber.observe.log import get_logger

_log = get_logger()


async def open_sensor(options: SensorOptions) -> Sensor | None:
    """The sensor to read; None for `none`, and for `auto` where no source answers: the caller may try again later.

    A named source is not read here: its failures are those of its readings. `auto` reads each source once, which takes
    at most the time limit of a read per source.

    Args:
        options: the source, and what is known of the database.
    """
    endpoint = endpoint_of(options.hosts)
    calls = AwsCalls(endpoint.region if endpoint is not None else options.region)
    finder = InstanceFinder(options, calls)
    match options.source:
        case "none":
            return None
        case "auto":
            return await best_source(lambda source: _sensor(source, options, finder, calls), finder)
        case source:
            _log.info("load.source", source=source, chosen_by="SUBSCRIBER_DATABASE_LOAD_SOURCE")
            return _sensor(source, options, finder, calls)


def _sensor(source: LoadSource, options: SensorOptions, finder: InstanceFinder, calls: AwsCalls) -> Sensor:
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
