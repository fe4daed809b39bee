"""CloudWatch: the newest minute that has ended, and the meaning of load where the capacity changes."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from subscriber.adapters.aws import calls
from subscriber.adapters.load.cloudwatch import METRICS, capacity_shares, newest_reading
from subscriber.adapters.load.open import open_sensor
from subscriber.adapters.load.sensor import SensorOptions
from subscriber.control.load_monitor import Sensor, read_sensor
from subscriber.errors import SensorError
from subscriber.signals import LoadReading
from testkit.aws.aws_services import Answer, AwsServices, Fault, NoAnswer
from tests.adapters.load.answers import cluster, instance, metrics
from tests.fixtures.queues import OpenClient

MINUTE = 1_795_000_020.0
LAST_MINUTE = (time.time() // 60 - 1) * 60
"""The begin of one that has ended, taken once: a test may well run across the end of the next."""
SERVERLESS = instance(instance_class="db.serverless")
CAPACITY = {"MinCapacity": 0.5, "MaxCapacity": 64.0}


async def sensor_for(options: SensorOptions, instance_id: str | None = "lake-1") -> Sensor:
    """The sensor, as the daemon opens it."""
    sensor = await open_sensor(msgspec.structs.replace(options, source="cloudwatch", instance_id=instance_id))
    assert sensor is not None
    return sensor


async def test_the_newest_minute_of_a_provisioned_instance(services: AwsServices, aws_options: SensorOptions) -> None:
    """One metric is requested, and its mean is the load."""
    services.answer("rds", "DescribeDBInstances", instance())
    services.answer("cloudwatch", "GetMetricData", metrics(cpu={LAST_MINUTE - 60: 20.0, LAST_MINUTE: 30.0}))
    sensor = await sensor_for(aws_options)
    reading = await sensor.read()
    await sensor.close()
    assert reading == LoadReading(cpu_percent=30.0, taken_at=LAST_MINUTE + 60, window_seconds=60.0)
    (asked,) = services.asked("cloudwatch", "GetMetricData")
    assert asked["EndTime"] - asked["StartTime"] == 600
    assert asked["EndTime"] % 60 == 0
    dimensions = [{"Name": "DBInstanceIdentifier", "Value": "lake-1"}]
    metric = {"Namespace": "AWS/RDS", "MetricName": "CPUUtilization", "Dimensions": dimensions}
    statistic = {"Metric": metric, "Period": 60, "Stat": "Average"}
    assert asked["MetricDataQueries"] == [{"Id": "cpu", "MetricStat": statistic}]


async def test_a_serverless_instance_is_read_against_its_capacity(
    services: AwsServices, aws_options: SensorOptions
) -> None:
    """Ten percent of the maximum is eighty of an eighth of it; a minute whose capacity is missing is skipped."""
    services.answer("rds", "DescribeDBInstances", SERVERLESS)
    services.answer("rds", "DescribeDBClusters", cluster(ServerlessV2ScalingConfiguration=CAPACITY))
    newest = {LAST_MINUTE - 120: 5.0, LAST_MINUTE - 60: 10.0, LAST_MINUTE: 20.0}
    services.answer("cloudwatch", "GetMetricData", metrics(cpu=newest, used={LAST_MINUTE - 60: 12.5}, capacity={}))
    sensor = await sensor_for(aws_options)
    assert await sensor.read() == LoadReading(80.0, LAST_MINUTE, 60.0)
    services.answer("cloudwatch", "GetMetricData", metrics(cpu=newest, used={}, capacity={LAST_MINUTE - 60: 16.0}))
    assert await sensor.read() == LoadReading(40.0, LAST_MINUTE, 60.0)
    services.answer("cloudwatch", "GetMetricData", metrics(cpu=newest, used={}, capacity={}))
    assert await sensor.read() is None
    await sensor.close()
    asked = services.asked("cloudwatch", "GetMetricData")[0]["MetricDataQueries"]
    assert [query["MetricStat"]["Metric"]["MetricName"] for query in asked] == list(METRICS.values())


async def test_without_rds_the_endpoint_gives_the_dimensions(services: AwsServices, aws_options: SensorOptions) -> None:
    """The writer role or the instance name; the denial of RDS is one log line."""
    services.answer("cloudwatch", "GetMetricData", metrics(cpu={LAST_MINUTE: 30.0}, used={}, capacity={}))
    for instance_id, dimensions in (
        (None, [{"Name": "DBClusterIdentifier", "Value": "lake"}, {"Name": "Role", "Value": "WRITER"}]),
        ("lake-1", [{"Name": "DBInstanceIdentifier", "Value": "lake-1"}]),
    ):
        sensor = await sensor_for(aws_options, instance_id)
        with structlog.testing.capture_logs() as lines:
            assert [await sensor.read(), await sensor.read()] == 2 * [LoadReading(30.0, LAST_MINUTE + 60, 60.0)]
        await sensor.close()
        assert [line["event"] for line in lines] == ["instance.lookup_failed"]
        asked = services.asked("cloudwatch", "GetMetricData")[-1]["MetricDataQueries"]
        assert [query["MetricStat"]["Metric"]["Dimensions"] for query in asked] == 3 * [dimensions]


async def test_without_rds_a_capacity_means_serverless(services: AwsServices, aws_options: SensorOptions) -> None:
    """The load of an instance with a capacity is computed against that."""
    answer = metrics(cpu={LAST_MINUTE: 30.0}, used={LAST_MINUTE: 50.0}, capacity={LAST_MINUTE: 8.0})
    services.answer("cloudwatch", "GetMetricData", answer)
    sensor = await sensor_for(aws_options)
    assert await sensor.read() == LoadReading(60.0, LAST_MINUTE + 60, 60.0)
    await sensor.close()


async def test_all_pages_are_read(services: AwsServices, aws_options: SensorOptions) -> None:
    """An answer in several pages is combined."""
    services.answer("rds", "DescribeDBInstances", instance())
    first = metrics("PartialData", cpu={LAST_MINUTE: 30.0}) | {"NextToken": "more"}
    second = metrics(cpu={LAST_MINUTE - 60: 20.0})
    services.answer("cloudwatch", "GetMetricData", lambda asked: second if "NextToken" in asked else first)
    sensor = await sensor_for(aws_options)
    assert await sensor.read() == LoadReading(30.0, LAST_MINUTE + 60, 60.0)
    await sensor.close()
    assert len(services.asked("cloudwatch", "GetMetricData")) == 2


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Fault("InternalServiceFault", 500, "try later"), "GetMetricData failed: InternalServiceFault: try later"),
        (Fault("ThrottlingException", 400, "Rate exceeded"), "GetMetricData failed: ThrottlingException: Rate"),
        (Fault("AccessDeniedException", 400, "no"), "no .the role needs cloudwatch:GetMetricData."),
        (NoAnswer(), "GetMetricData failed: Timeout: no answer within 0.3 s"),
        (metrics("InternalError", cpu={}), "has no answer for CPUUtilization: InternalError"),
        (metrics("Forbidden", cpu={}), "has no answer for CPUUtilization: Forbidden"),
        (metrics(cpu={LAST_MINUTE: 400.0}), "a load of 400 % cannot be true"),
        (metrics(cpu={LAST_MINUTE: -1.0}), "a load of -1 % cannot be true"),
    ],
)
async def test_a_failure_is_one_sentence_in_time(
    services: AwsServices,
    aws_options: SensorOptions,
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
    sentence: str,
) -> None:
    """For any answer of the service, a read raises SensorError within its limit."""
    if isinstance(answer, NoAnswer):
        monkeypatch.setattr(calls, "CALL_SECONDS", 0.3)
    services.answer("rds", "DescribeDBInstances", instance())
    services.answer("cloudwatch", "GetMetricData", answer)
    sensor = await sensor_for(aws_options)
    with pytest.raises(SensorError, match=sentence):
        await read_sensor(sensor)
    await sensor.close()


def test_only_an_ended_minute_with_a_load_counts() -> None:
    """The running minute is skipped, and so is one without capacity; without any other there is no reading."""
    load = {MINUTE: 10.0, MINUTE + 60: 20.0}
    assert newest_reading(load, {}, MINUTE + 120, is_serverless=False) == LoadReading(20.0, MINUTE + 120, 60.0)
    assert newest_reading(load, {}, MINUTE + 119, is_serverless=False) == LoadReading(10.0, MINUTE + 60, 60.0)
    assert newest_reading(load, {}, MINUTE + 59, is_serverless=False) is None
    paused = {MINUTE: 0.5, MINUTE + 60: 0.0}
    assert newest_reading(load, paused, MINUTE + 120, is_serverless=True) == LoadReading(20.0, MINUTE + 60, 60.0)
    assert newest_reading(load, {}, MINUTE + 120, is_serverless=True) is None


@given(
    st.floats(min_value=0, max_value=100),
    st.one_of(st.floats(min_value=0, max_value=2), st.just(math.nan), st.just(math.inf)),
)
def test_a_serverless_load_is_a_load(percent: float, share: float) -> None:
    """For any capacity, the load is between CloudWatch's value and a hundred; or there is none."""
    reading = newest_reading({MINUTE: percent}, {MINUTE: share}, MINUTE + 60, is_serverless=True)
    if reading is None:
        assert not 0 < share < math.inf
    else:
        assert percent <= reading.cpu_percent <= 100


def test_either_metric_gives_the_share() -> None:
    """The percentage of the maximum takes precedence over the units, which need a known maximum."""
    series = {"cpu": {}, "used": {MINUTE: 25.0}, "capacity": {MINUTE: 8.0, MINUTE + 60: 4.0}}
    assert capacity_shares(series, 16.0) == {MINUTE: 0.25, MINUTE + 60: 0.25}
    assert capacity_shares(series, None) == {MINUTE: 0.25}


async def test_localstack_answers_alike(
    services: AwsServices,
    aws_options: SensorOptions,
    aws_client: OpenClient,
    localstack_url: str,
    aws_environment: pytest.MonkeyPatch,
) -> None:
    """Points that were put into a CloudWatch emulator come back as their mean over the minute."""
    minute = (time.time() // 60 - 2) * 60
    data = [
        {
            "MetricName": name,
            "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": "lake-1"}],
            "Timestamp": datetime.fromtimestamp(minute + 5, UTC),
            "Value": value,
        }
        for name, value in (("CPUUtilization", 10.0), ("CPUUtilization", 30.0), ("ACUUtilization", 50.0))
    ]
    async with aws_client("cloudwatch", localstack_url) as client:
        await client.put_metric_data(Namespace="AWS/RDS", MetricData=data)
    for name, value in (
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
    ):
        aws_environment.setenv(name, value)
    aws_environment.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", localstack_url)
    aws_environment.setenv("AWS_ENDPOINT_URL_RDS", services.endpoint_url)
    services.answer("rds", "DescribeDBInstances", SERVERLESS)
    sensor = await sensor_for(msgspec.structs.replace(aws_options, hosts=("index.example",)))
    reading = await sensor.read()
    await sensor.close()
    assert reading == LoadReading(cpu_percent=40.0, taken_at=minute + 60, window_seconds=60.0)
