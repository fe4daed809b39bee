"""The door to the sensors of the database's load: from what an operator chose to what the regulator reads."""

from __future__ import annotations

from subscriber.edge.aws_calls import AwsCalls
from subscriber.edge.instance_finder import InstanceFinder, endpoint_of
from subscriber.edge.load_auto import best_that_answers
from subscriber.edge.load_bounded import BoundedSensor
from subscriber.edge.load_cloudwatch import CloudWatchSensor
from subscriber.edge.load_connection import LoadConnection
from subscriber.edge.load_local import LocalSensor
from subscriber.edge.load_performance_insights import PerformanceInsightsSensor
from subscriber.edge.load_sensor import LoadSource, Sensor, SensorOptions
from subscriber.edge.load_statements import ActiveSessionsSensor, AuroraStatSensor
from subscriber.observe.log import get_logger

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
