"""The CPU load that CloudWatch reports, minute by minute and one to three minutes late.

For a provisioned instance CPUUtilization is the load. For Aurora Serverless v2 it is not: there it is the processor
time used, divided by what the instance would have at the *maximum* of its capacity range, so a small instance at its
limit reads low (Aurora User Guide, "Important Amazon CloudWatch metrics for Aurora Serverless v2"). ACUUtilization is,
in the same place, the present capacity divided by that same maximum. Processors are proportional to capacity
("How Aurora Serverless v2 works": a capacity unit is about 2 GiB of memory with corresponding CPU), so the maximum
cancels:

    load = CPUUtilization ÷ (ACUUtilization ÷ 100)

Where ACUUtilization is missing, ServerlessDatabaseCapacity ÷ maximum replaces it. Edge cases:

- All of them are means over a minute, and a quotient of means is not the mean of the quotients: in a minute in which
  the capacity doubled the load is wrong by up to that factor. A result above 100 becomes 100.
- A minute with load but without capacity is no reading: its load as it is would be too low, the dangerous direction.
- A paused instance has no capacity, hence no load: no reading.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from subscriber.adapters.aws.calls import AwsCallError, AwsCalls
from subscriber.adapters.load.instance_facts import InstanceFacts
from subscriber.adapters.load.instance_finder import InstanceFinder
from subscriber.adapters.load.sensor import checked
from subscriber.errors import SensorError
from subscriber.signals import LoadReading

WINDOW_SECONDS = 60
"""RDS publishes its metrics once a minute."""
PERIOD_SECONDS = 30.0
"""Half of that, so that the sensor reads a point at most half a minute after its publication."""
LOOK_BACK_SECONDS = 600
"""Covers missing minutes at the end."""

METRICS = {"cpu": "CPUUtilization", "used": "ACUUtilization", "capacity": "ServerlessDatabaseCapacity"}

Series: TypeAlias = Mapping[float, float]
"""From the begin of a minute, Unix seconds, to the mean of that minute."""
Dimensions: TypeAlias = list[dict[str, str]]


def queries(dimensions: Dimensions, names: Iterable[str]) -> list[dict[str, Any]]:
    """The queries, one per metric, by the short names of METRICS."""
    return [
        {
            "Id": name,
            "MetricStat": {
                "Metric": {"Namespace": "AWS/RDS", "MetricName": METRICS[name], "Dimensions": dimensions},
                "Period": WINDOW_SECONDS,
                "Stat": "Average",
            },
        }
        for name in names
    ]


def series_in(pages: Iterable[Mapping[str, Any]]) -> dict[str, dict[float, float]]:
    """The points that have a value, by short name of the metric.

    Raises:
        SensorError: CloudWatch reports a failure or a denial for a metric.
    """
    found: dict[str, dict[float, float]] = {name: {} for name in METRICS}
    for result in (result for page in pages for result in page.get("MetricDataResults") or []):
        status = result.get("StatusCode", "Complete")
        if status not in {"Complete", "PartialData"}:
            raise SensorError(
                f"CloudWatch has no answer for {METRICS.get(result.get('Id'), result.get('Id'))}: {status}"
            )
        points = zip(result.get("Timestamps") or [], result.get("Values") or [], strict=False)
        found.setdefault(result.get("Id", ""), {}).update(
            {at.timestamp(): value for at, value in points if not math.isnan(value)}
        )
    return found


def capacity_shares(series: Mapping[str, Series], max_capacity_units: float | None) -> dict[float, float]:
    """The share of the maximum capacity that a serverless instance had, 0 to 1, by minute."""
    shares: dict[float, float] = {}
    if max_capacity_units:
        shares = {minute: units / max_capacity_units for minute, units in series["capacity"].items()}
    return shares | {minute: percent / 100 for minute, percent in series["used"].items()}


def newest_reading(
    load: Series, shares: Mapping[float, float], now: float, *, is_serverless: bool
) -> LoadReading | None:
    """The newest minute that has ended and has a load.

    Raises:
        SensorError: its load cannot be true.
    """
    for minute in sorted(load, reverse=True):
        if minute + WINDOW_SECONDS > now:
            continue
        share = shares.get(minute, 0.0) if is_serverless else 1.0
        if not 0 < share < math.inf:
            continue
        percent = min(checked(load[minute]) / min(share, 1.0), 100.0)
        return LoadReading(cpu_percent=percent, taken_at=minute + WINDOW_SECONDS, window_seconds=WINDOW_SECONDS)
    return None


class CloudWatchSensor:
    """A Sensor.

    It needs cloudwatch:GetMetricData. With rds:DescribeDBInstances and rds:DescribeDBClusters it also knows the
    instance, and whether that is serverless.
    """

    def __init__(self, finder: InstanceFinder, calls: AwsCalls) -> None:
        self._finder = finder
        self._calls = calls
        self.source = "cloudwatch"
        self.period_seconds = PERIOD_SECONDS

    async def read(self) -> LoadReading | None:
        """As in the protocol."""
        facts, dimensions = await self._instance()
        names = ["cpu"] if facts is not None and not facts.is_serverless else list(METRICS)
        now = time.time()
        end = now // WINDOW_SECONDS * WINDOW_SECONDS  # whole minutes: the begin of a point's window is then a minute's
        pages = await self._calls.pages(
            "cloudwatch",
            "GetMetricData",
            "MetricDataResults",
            MetricDataQueries=queries(dimensions, names),
            StartTime=datetime.fromtimestamp(end - LOOK_BACK_SECONDS, UTC),
            EndTime=datetime.fromtimestamp(end, UTC),
        )
        series = series_in(pages)
        shares = capacity_shares(series, facts.max_capacity_units if facts else None)
        # Without permission to ask RDS: an instance with a capacity is serverless.
        is_serverless = facts.is_serverless if facts else bool(series["used"] or series["capacity"])
        return newest_reading(series["cpu"], shares, now, is_serverless=is_serverless)

    async def close(self) -> None:
        """As in the protocol."""
        await self._calls.close()

    async def _instance(self) -> tuple[InstanceFacts | None, Dimensions]:
        """The instance; without permission to ask RDS, the dimensions that the endpoint implies."""
        try:
            facts = await self._finder.facts()
        except AwsCallError as error:
            if not error.is_denied:
                raise
            dimensions = self._dimensions_by_name(error)
            self._finder.log_once("instance.lookup_failed", str(error))
            return None, dimensions
        return facts, [{"Name": "DBInstanceIdentifier", "Value": facts.identifier}]

    def _dimensions_by_name(self, denial: AwsCallError) -> Dimensions:
        name = self._finder.instance_name
        if name is not None:
            return [{"Name": "DBInstanceIdentifier", "Value": name}]
        endpoint = self._finder.endpoint
        if endpoint is not None and endpoint.kind == "writer":
            # Aurora User Guide, "Dimensions for Aurora metrics": the instance that has the role at the time.
            return [{"Name": "DBClusterIdentifier", "Value": endpoint.name}, {"Name": "Role", "Value": "WRITER"}]
        raise denial
