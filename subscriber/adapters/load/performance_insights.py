"""The CPU load that the instance's operating system counts, as Performance Insights reports it.

The counter is collected every minute, or as often as Enhanced Monitoring is set to, down to each second (RDS User
Guide, "Performance Insights counter metrics"); points arrive seconds late, and the seconds in between have no value.
So the sensor reads the last three minutes second by second, and the newest point with a value is the reading. The
length of its window is the distance of the points, since each of them covers the time to the one before.

On Aurora Serverless v2 this counter is relative to the present capacity, as the operating system sees it, not to the
maximum as CloudWatch's is; AWS does not document that, users have found it.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from subscriber.adapters.aws.calls import AwsCalls
from subscriber.adapters.load.instance_finder import InstanceFinder
from subscriber.adapters.load.sensor import checked
from subscriber.signals import LoadReading

METRIC = "os.cpuUtilization.total.avg"
PERIOD_SECONDS = 5.0
"""Points arrive ten or more seconds late: a read every second would hardly get them earlier."""
LOOK_BACK_SECONDS = 180
"""Covers a minute between points without Enhanced Monitoring, a missing point, and the delay."""
WINDOW_AT_MOST_SECONDS = 60.0


class Point(NamedTuple):
    """One value and the end of its window, Unix seconds."""

    taken_at: float
    value: float


def points_in(pages: Iterable[Mapping[str, Any]]) -> list[Point]:
    """The points that have a value, oldest first."""
    points = (
        point
        for page in pages
        for series in page.get("MetricList") or []
        if (series.get("Key") or {}).get("Metric") == METRIC
        for point in series.get("DataPoints") or []
    )
    values = ((point["Timestamp"].timestamp(), point.get("Value")) for point in points)
    return sorted(Point(at, value) for at, value in values if value is not None and not math.isnan(value))


def newest_reading(points: list[Point]) -> LoadReading | None:
    """The reading of these points, oldest first.

    Raises:
        SensorError: the newest value cannot be true.
    """
    if not points:
        return None
    apart = [later.taken_at - earlier.taken_at for earlier, later in itertools.pairwise(points)]
    closest = min((gap for gap in apart if gap > 0), default=WINDOW_AT_MOST_SECONDS)
    return LoadReading(
        cpu_percent=checked(points[-1].value),
        taken_at=points[-1].taken_at,
        window_seconds=min(closest, WINDOW_AT_MOST_SECONDS),
    )


class PerformanceInsightsSensor:
    """A Sensor.

    It needs pi:GetResourceMetrics and, unless the resource id is given, rds:DescribeDBInstances; for a cluster's
    endpoint rds:DescribeDBClusters as well.
    """

    def __init__(self, finder: InstanceFinder, calls: AwsCalls) -> None:
        self._finder = finder
        self._calls = calls
        self.source = "performance_insights"
        self.period_seconds = PERIOD_SECONDS

    async def read(self) -> LoadReading | None:
        """As in the protocol."""
        identifier = await self._finder.resource_id()
        now = int(time.time())
        pages = await self._calls.pages(
            "pi",
            "GetResourceMetrics",
            "MetricList",
            ServiceType="RDS",
            Identifier=identifier,
            MetricQueries=[{"Metric": METRIC}],
            StartTime=datetime.fromtimestamp(now - LOOK_BACK_SECONDS, UTC),
            EndTime=datetime.fromtimestamp(now, UTC),
            PeriodInSeconds=1,
            PeriodAlignment="END_TIME",  # the default; explicit because `taken_at` depends on it
        )
        return newest_reading(points_in(pages))

    async def close(self) -> None:
        """As in the protocol."""
        await self._calls.close()
