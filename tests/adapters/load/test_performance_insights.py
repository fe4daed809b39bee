"""Performance Insights: the newest second that has a value, and what the service may do instead of answering."""

from __future__ import annotations

import math
import time

import msgspec
import pytest

from subscriber.adapters.aws import calls
from subscriber.adapters.load.open import open_sensor
from subscriber.adapters.load.performance_insights import METRIC, Point, newest_reading
from subscriber.adapters.load.sensor import Sensor, SensorOptions
from subscriber.errors import SensorError
from subscriber.signals import LoadReading
from testkit.aws.aws_services import Answer, AwsServices, Fault, Raw, Silence
from tests.adapters.load.answers import RESOURCE_ID, cluster, instance, points

NOW = 1_795_000_000.0


async def sensor_for(options: SensorOptions, instance_id: str | None = RESOURCE_ID) -> Sensor:
    """The sensor, as the daemon opens it."""
    changed = msgspec.structs.replace(options, source="performance_insights", instance_id=instance_id)
    sensor = await open_sensor(changed)
    assert sensor is not None
    return sensor


async def test_the_newest_second_is_read(services: AwsServices, aws_options: SensorOptions) -> None:
    """One call with the resource id as it was given; the end of the newest second is when it was taken."""
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
    """From a cluster's endpoint the way leads over its writer to the id that is asked for."""
    services.answer("rds", "DescribeDBClusters", cluster())
    services.answer("rds", "DescribeDBInstances", instance())
    services.answer("pi", "GetResourceMetrics", points(33.0))
    sensor = await sensor_for(aws_options, instance_id=None)
    reading = await sensor.read()
    await sensor.close()
    assert reading is not None
    assert reading.cpu_percent == 33.0
    assert [request["Identifier"] for request in services.asked("pi", "GetResourceMetrics")] == [RESOURCE_ID]


async def test_an_instance_without_it_is_refused(services: AwsServices, aws_options: SensorOptions) -> None:
    """Where it is switched off the sentence says so, and the service is not asked."""
    services.answer("rds", "DescribeDBInstances", instance(PerformanceInsightsEnabled=False))
    sensor = await sensor_for(aws_options, instance_id="lake-1")
    with pytest.raises(SensorError, match="Performance Insights is off for instance lake-1: turn it on"):
        await sensor.read()
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
    ids=["seconds that come late are null", "a value that is none", "idle", "nothing yet", "no points at all"],
)
async def test_what_has_no_value_is_passed_over(
    services: AwsServices, aws_options: SensorOptions, values: tuple[float | None, ...], newest: float | None
) -> None:
    """The newest point with a value counts; without any there is no reading, and that is no failure."""
    services.answer("pi", "GetResourceMetrics", points(*values))
    sensor = await sensor_for(aws_options)
    reading = await sensor.read()
    await sensor.close()
    assert (reading and reading.cpu_percent) == newest


async def test_all_pages_are_read(services: AwsServices, aws_options: SensorOptions) -> None:
    """A token leads to the next page; a list without an end is left after ten."""
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
        (Silence(), "failed: Timeout: no answer within 0.3 s"),
        (Raw(b"<html>"), "NoAnswer: an answer without MetricList"),
        (Raw(b"[]"), "performance_insights: "),
        (Raw(b'{"MetricList": [{"Key": {"Metric": "' + METRIC.encode() + b'"}, "DataPoints": [{}]}]}'), "KeyError"),
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
    """Whatever the service does, `read` raises SensorError within its limit, and asks no second time by itself."""
    if isinstance(answer, Silence):
        monkeypatch.setattr(calls, "CALL_SECONDS", 0.3)
    services.answer("pi", "GetResourceMetrics", answer)
    sensor = await sensor_for(aws_options)
    with pytest.raises(SensorError, match=sentence):
        await sensor.read()
    assert await sensor.read() is None, "it rests after a failure"
    await sensor.close()
    assert len(services.requests) == 1


@pytest.mark.usefixtures("services")
async def test_no_credentials_are_a_sentence(aws_environment: pytest.MonkeyPatch, aws_options: SensorOptions) -> None:
    """A role that was forgotten is said in one line as well."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        aws_environment.delenv(name)
    aws_environment.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    aws_environment.setenv("AWS_CONFIG_FILE", "/nonexistent")
    sensor = await sensor_for(aws_options)
    with pytest.raises(SensorError, match="pi:GetResourceMetrics failed: NoCredentials"):
        await sensor.read()
    await sensor.close()


def test_a_point_stands_for_the_time_between_points() -> None:
    """Every second with Enhanced Monitoring at one, every minute without; a gap in between makes no window longer."""
    seconds = [Point(NOW + 1, 1.0), Point(NOW + 2, 2.0), Point(NOW + 7, 3.0)]
    assert newest_reading(seconds) == LoadReading(3.0, NOW + 7, 1.0)
    assert newest_reading([Point(NOW, 1.0), Point(NOW + 60, 2.0)]) == LoadReading(2.0, NOW + 60, 60.0)
    assert newest_reading([Point(NOW, 1.0)]) == LoadReading(1.0, NOW, 60.0)
    assert newest_reading([Point(NOW, 1.0), Point(NOW + 120, 2.0)]) == LoadReading(2.0, NOW + 120, 60.0)
