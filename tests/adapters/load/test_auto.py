"""Which source `auto` chooses, and that the log says why it skips the others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
import structlog

from subscriber.adapters.load.open import open_sensor
from subscriber.adapters.load.sensor import SensorOptions
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.control.load_monitor import Sensor, read_sensor
from subscriber.errors import SensorError
from testkit.aws.aws_services import AwsServices, Fault
from tests.adapters.load.answers import cluster, instance, metrics, points
from tests.adapters.load.conftest import WRITER_HOST

LAST_MINUTE = 1_795_000_020.0
NO_INSTANCE = "neither the database's host nor SUBSCRIBER_DATABASE_INSTANCE_ID names an instance of RDS"


class Opened(msgspec.Struct):
    """The result of opening."""

    sensor: Sensor | None
    line: Mapping[str, Any]
    """Its log line."""


async def opened(options: SensorOptions) -> Opened:
    """Open a sensor, which logs exactly one line about it."""
    with structlog.testing.capture_logs() as lines:
        sensor = await open_sensor(options)
    (line,) = [line for line in lines if line["event"] == "load.source"]
    return Opened(sensor, line)


@pytest.fixture
def rds(services: AwsServices) -> AwsServices:
    """A role that may read RDS, Performance Insights and CloudWatch."""
    services.answer("rds", "DescribeDBClusters", cluster())
    services.answer("rds", "DescribeDBInstances", instance())
    services.answer("pi", "GetResourceMetrics", points(33.0))
    services.answer("cloudwatch", "GetMetricData", metrics(cpu={LAST_MINUTE: 30.0}))
    return services


async def test_a_database_on_this_machine_is_read_from_its_processes(local_options: SensorOptions) -> None:
    """The best source; no other is read."""
    found = await opened(local_options)
    assert found.sensor is not None
    await found.sensor.close()
    assert found.line == {
        "event": "load.source",
        "log_level": "info",
        "source": "local",
        "chosen_by": "auto",
        "skipped": {},
    }


async def test_an_instance_of_rds_is_read_by_performance_insights(rds: AwsServices, aws_options: SensorOptions) -> None:
    """The best source for Aurora; the sensor does not query the database itself."""
    found = await opened(aws_options)
    assert found.sensor is not None
    reading = await found.sensor.read()
    await found.sensor.close()
    assert (reading and reading.cpu_percent, found.sensor.period_seconds) == (33.0, 5.0)
    assert (found.line["source"], found.line["skipped"]) == (
        "performance_insights",
        {"local": "the database is RDS's"},
    )


async def test_without_that_permission_the_database_itself_is_read(
    rds: AwsServices, aws_options: SensorOptions, local_options: SensorOptions
) -> None:
    """IAM denies it, the server is not Aurora, so sessions count against the processors of the instance class."""
    rds.answer("pi", "GetResourceMetrics", Fault.denied("pi:GetResourceMetrics"))
    found = await opened(msgspec.structs.replace(local_options, hosts=(WRITER_HOST,), vcpus=None))
    assert found.sensor is not None
    await found.sensor.close()
    assert (found.line["source"], list(found.line["skipped"])) == (
        "active_sessions",
        ["local", "performance_insights", "aurora_stat"],
    )
    assert "the role needs pi:GetResourceMetrics" in found.line["skipped"]["performance_insights"]
    assert "it is not Aurora, or of an earlier release" in found.line["skipped"]["aurora_stat"]


async def test_cloudwatch_is_the_last_resort(rds: AwsServices, aws_options: SensorOptions) -> None:
    """Performance Insights has no point yet, the database is unreachable: a late reading is better than none."""
    rds.answer("pi", "GetResourceMetrics", points(None, None))
    found = await opened(aws_options)
    assert found.sensor is not None
    reading = await found.sensor.read()
    await found.sensor.close()
    assert (reading and reading.cpu_percent, found.line["source"]) == (30.0, "cloudwatch")
    assert found.line["skipped"]["performance_insights"] == "it has no reading yet"


@pytest.mark.usefixtures("services")
async def test_without_any_answer_there_is_no_sensor_and_one_warning(aws_options: SensorOptions) -> None:
    """The daemon goes on without one: the log line names every source and its reason."""
    found = await opened(aws_options)
    assert (found.sensor, found.line["log_level"], found.line["source"]) == (None, "warning", "none")
    order = ["local", "performance_insights", "aurora_stat", "active_sessions", "cloudwatch"]
    assert list(found.line["skipped"]) == order
    found = await opened(msgspec.structs.replace(aws_options, hosts=("index.example",)))
    assert (found.line["skipped"]["performance_insights"], found.line["skipped"]["cloudwatch"]) == 2 * (NO_INSTANCE,)


async def test_none_is_no_sensor(aws_options: SensorOptions) -> None:
    """No source is read, and nothing is logged."""
    with structlog.testing.capture_logs() as lines:
        assert await open_sensor(msgspec.structs.replace(aws_options, source="none")) is None
    assert lines == []


async def test_a_named_source_is_not_tried(aws_options: SensorOptions) -> None:
    """Whether it answers shows at its first read: opening does not wait for it."""
    found = await opened(msgspec.structs.replace(aws_options, source="active_sessions", vcpus=2.0))
    assert found.sensor is not None
    assert (found.sensor.source, found.line["chosen_by"]) == ("active_sessions", "SUBSCRIBER_DATABASE_LOAD_SOURCE")
    with pytest.raises(SensorError, match="active_sessions: "):
        await read_sensor(found.sensor)
    await found.sensor.close()


async def test_a_stop_while_sources_are_tried_leaves_nothing_open(aws_options: SensorOptions) -> None:
    """The connection to a database that accepts and never answers ends with the task that waits for it."""
    silent: set[asyncio.StreamWriter] = set()
    accepted = asyncio.Event()

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent.add(writer)
        accepted.set()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    store = StoreOptions(url=f"postgresql://nobody@127.0.0.1:{port}/nowhere", tls="disable")
    options = msgspec.structs.replace(aws_options, hosts=("127.0.0.1",), store=store)
    opening = asyncio.create_task(open_sensor(options), name="open sensor")
    async with asyncio.timeout(60):
        await accepted.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    for writer in silent:
        writer.close()
    server.close()
    await server.wait_closed()
