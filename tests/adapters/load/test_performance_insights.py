"""Performance Insights: the newest second with a value, and every way in which the service may fail."""

from __future__ import annotations

import math
import time

import msgspec
import pytest

from subscriber.adapters.aws import calls
from subscriber.adapters.load.open import open_sensor
from subscriber.adapters.load.performance_insights import METRIC, Point, newest_reading
from subscriber.adapters.load.sensor import SensorOptions
from subscriber.control.load_monitor import Sensor, read_sensor
from subscriber.errors import SensorError
from subscriber.signals import LoadReading
from testkit.aws.aws_services import Answer, AwsServices, Fault, NoAnswer, RawBody
from tests.adapters.load.answers import RESOURCE_ID, cluster, instance, points

NOW = 1_795_000_000.0


async def sensor_for(options: SensorOptions, instance_id: str | None = RESOURCE_ID) -> Sensor:
    """The sensor, as the daemon opens it."""
    changed = msgspec.structs.replace(options, source="performance_insights", instance_id=instance_id)
    sensor = await open_sensor(changed)
    assert sensor is not None
    return sensor


async def test_the_newest_second_is_read(services: AwsServices, aws_options: SensorOptions) -> None:
    """One call with the configured resource id; the reading was taken at the end of the newest second."""
    newest_at = int(time.time()) - 12
    services.answer("pi", "GetResourceMetrics", points(10.0, 20.5, newest_at=newest_at))
    sensor = await sensor_for(aws_options)
    began = time.time()
    assert await sensor.read() == LoadReading(cpu_percent=20.5, taken_at=newest_at, window_seconds=1.0)
    await sensor.close()
    (asked,) = services.requests
    start, end = asked.parameters.pop("StartTime"), asked.parameters.pop("EndTime")
    assert (asked.service, asked.operation) == ("pi", "GetResourceMetrics")
    assert asked.parameters == {
        "ServiceType": "RDS",
        "Identifier": RESOURCE_ID,
        "MetricQueries": [{"Metric": METRIC}],
        "PeriodInSeconds": 1,
        "PeriodAlignment": "END_TIME",
    }
    assert end - start == 180
    assert began - 1 <= end <= time.time()


async def test_the_writer_is_looked_up(services: AwsServices, aws_options: SensorOptions) -> None:
    """A cluster's endpoint leads to its writer, and that to the resource id of the request."""
    services.answer("rds", "DescribeDBClusters", cluster())
    services.answer("rds", "DescribeDBInstances", instance())
    services.answer("pi", "GetResourceMetrics", points(33.0))
    sensor = await sensor_for(aws_options, instance_id=None)
    reading = await sensor.read()
    await sensor.close()
    assert reading is not None
    assert reading.cpu_percent == 33.0
    assert [request["Identifier"] for request in services.asked("pi", "GetResourceMetrics")] == [RESOURCE_ID]


async def test_an_instance_without_it_is_an_error(services: AwsServices, aws_options: SensorOptions) -> None:
    """Where it is off the sentence says so, and the service gets no request."""
    services.answer("rds", "DescribeDBInstances", instance(PerformanceInsightsEnabled=False))
    sensor = await sensor_for(aws_options, instance_id="lake-1")
    with pytest.raises(SensorError, match="Performance Insights is off for instance lake-1: turn it on"):
        await read_sensor(sensor)
    await sensor.close()
    assert services.asked("pi", "GetResourceMetrics") == []


@pytest.mark.parametrize(
    ("values", "newest"),
    [
        ((10.0, 20.0, None, None), 20.0),
        ((10.0, 20.0, math.nan), 20.0),
        ((0.0,), 0.0),
        ((None, None), None),
        ((), None),
    ],
    ids=["late seconds are null", "NaN", "idle", "nothing yet", "no points at all"],
)
async def test_points_without_a_value_are_skipped(
    services: AwsServices, aws_options: SensorOptions, values: tuple[float | None, ...], newest: float | None
) -> None:
    """The newest point with a value counts; without any there is no reading, which is no failure."""
    services.answer("pi", "GetResourceMetrics", points(*values))
    sensor = await sensor_for(aws_options)
    reading = await sensor.read()
    await sensor.close()
    assert (reading and reading.cpu_percent) == newest


async def test_all_pages_are_read(services: AwsServices, aws_options: SensorOptions) -> None:
    """A token leads to the next page; after ten pages the sensor reads no more."""
    pages = {None: points(10.0, newest_at=NOW) | {"NextToken": "b"}, "b": points(30.0, newest_at=NOW + 1)}
    services.answer("pi", "GetResourceMetrics", lambda asked: pages[asked.get("NextToken")])
    sensor = await sensor_for(aws_options)
    reading = await sensor.read()
    assert reading == LoadReading(cpu_percent=30.0, taken_at=NOW + 1, window_seconds=1.0)
    services.answer("pi", "GetResourceMetrics", lambda _: points(50.0, newest_at=NOW) | {"NextToken": "more"})
    services.requests.clear()
    assert await sensor.read() is not None
    await sensor.close()
    assert len(services.requests) == 10


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Fault("InternalServiceError", 500, "try later"), "failed: InternalServiceError: try later"),
        (Fault("ThrottlingException", 400, "Rate exceeded"), "failed: ThrottlingException: Rate exceeded"),
        (Fault("InvalidArgumentException", 400, "no"), "failed: InvalidArgumentException: no"),
        (Fault("NotAuthorizedException", 400, "no"), "no .the role needs pi:GetResourceMetrics."),
        (Fault("AccessDeniedException", 400, "no"), "no .the role needs pi:GetResourceMetrics."),
        (NoAnswer(), "failed: Timeout: no answer within 0.3 s"),
        (RawBody(b"<html>"), "NoAnswer: an answer without MetricList"),
        (RawBody(b"[]"), "performance_insights: "),
        (RawBody(b'{"MetricList": [{"Key": {"Metric": "' + METRIC.encode() + b'"}, "DataPoints": [{}]}]}'), "KeyError"),
        (points(400.0), "a load of 400 % cannot be true"),
        (points(-3.0), "a load of -3 % cannot be true"),
        (points(math.inf), "a load of inf % cannot be true"),
    ],
)
async def test_a_failure_is_one_sentence_in_time(
    services: AwsServices,
    aws_options: SensorOptions,
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
    sentence: str,
) -> None:
    """For any answer of the service, a read raises SensorError within its limit, after one request."""
    if isinstance(answer, NoAnswer):
        monkeypatch.setattr(calls, "CALL_SECONDS", 0.3)
    services.answer("pi", "GetResourceMetrics", answer)
    sensor = await sensor_for(aws_options)
    with pytest.raises(SensorError, match=sentence):
        await read_sensor(sensor)
    await sensor.close()
    assert len(services.requests) == 1


@pytest.mark.usefixtures("services")
async def test_no_credentials_are_a_sentence(aws_environment: pytest.MonkeyPatch, aws_options: SensorOptions) -> None:
    """A missing role is one sentence as well."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        aws_environment.delenv(name)
    aws_environment.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    aws_environment.setenv("AWS_CONFIG_FILE", "/nonexistent")
    sensor = await sensor_for(aws_options)
    with pytest.raises(SensorError, match="pi:GetResourceMetrics failed: NoCredentials"):
        await read_sensor(sensor)
    await sensor.close()


def test_a_point_covers_the_time_between_points() -> None:
    """Every second with Enhanced Monitoring at one, every minute without; a gap in between makes no window longer."""
    seconds = [Point(NOW + 1, 1.0), Point(NOW + 2, 2.0), Point(NOW + 7, 3.0)]
    assert newest_reading(seconds) == LoadReading(3.0, NOW + 7, 1.0)
    assert newest_reading([Point(NOW, 1.0), Point(NOW + 60, 2.0)]) == LoadReading(2.0, NOW + 60, 60.0)
    assert newest_reading([Point(NOW, 1.0)]) == LoadReading(1.0, NOW, 60.0)
    assert newest_reading([Point(NOW, 1.0), Point(NOW + 120, 2.0)]) == LoadReading(2.0, NOW + 120, 60.0)
