"""Answers of RDS, Performance Insights and CloudWatch, as the services shape them."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from subscriber.adapters.load.cloudwatch import METRICS
from subscriber.adapters.load.performance_insights import METRIC

RESOURCE_ID = "db-ABCDEFGHIJKLMNOPQRSTU1VW2X"


def instance(name: str = "lake-1", *, instance_class: str = "db.r6g.large", **more: Any) -> dict[str, Any]:
    """DescribeDBInstances, for one instance of the cluster `lake`."""
    known = {
        "DBInstanceIdentifier": name,
        "DBInstanceClass": instance_class,
        "DbiResourceId": RESOURCE_ID,
        "DBClusterIdentifier": "lake",
        "PerformanceInsightsEnabled": True,
    }
    return {"DBInstances": [known | more]}


def cluster(writer: str | None = "lake-1", /, **more: Any) -> dict[str, Any]:
    """DescribeDBClusters, for a cluster of two."""
    members = [
        {"DBInstanceIdentifier": name, "IsClusterWriter": name == writer, "PromotionTier": 1}
        for name in ("lake-1", "lake-2")
    ]
    return {"DBClusters": [{"DBClusterIdentifier": "lake", "DBClusterMembers": members} | more]}


def points(*values: float | None, newest_at: float | None = None, apart_seconds: int = 1) -> dict[str, Any]:
    """GetResourceMetrics: values one after the other, the last of them at `newest_at`, now by default."""
    newest = int(time.time() if newest_at is None else newest_at)
    first = newest - apart_seconds * (len(values) - 1)
    return {
        "Identifier": RESOURCE_ID,
        "AlignedStartTime": datetime.fromtimestamp(first, UTC),
        "AlignedEndTime": datetime.fromtimestamp(newest, UTC),
        "MetricList": [
            {
                "Key": {"Metric": METRIC},
                "DataPoints": [
                    {"Timestamp": datetime.fromtimestamp(first + apart_seconds * number, UTC), "Value": value}
                    for number, value in enumerate(values)
                ],
            }
        ],
    }


def metrics(status: str = "Complete", **series: dict[float, float]) -> dict[str, Any]:
    """GetMetricData, newest first: for each short name the values by the begin of the minute."""
    return {
        "MetricDataResults": [
            {
                "Id": name,
                "Label": METRICS[name],
                "Timestamps": [datetime.fromtimestamp(at, UTC) for at in sorted(values, reverse=True)],
                "Values": [values[at] for at in sorted(values, reverse=True)],
                "StatusCode": status,
            }
            for name, values in series.items()
        ],
        "Messages": [],
    }
