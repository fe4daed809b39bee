"""A CloudWatch for the local database: means of whole minutes, published with a delay.

    python -m benchmarks.governor_live.cloudwatch --postmaster 4711 --delay-seconds 60

A process of its own that reads the server's processor time every second and responds to GetMetricData in the service's
format; it denies every other call, as for a role without a controller. It prints its address and ends on SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from benchmarks.baselines.service import serve
from subscriber.adapters.load.process_tree import ProcessTree, Snapshot
from testkit.aws.aws_services import AwsServices

MINUTE: Final = 60
INSTANCE: Final = "governor-live"


class Minutes:
    """Mean CPU use per minute of the wall clock."""

    def __init__(self) -> None:
        self._means: dict[int, float] = {}
        self._begin: Snapshot | None = None
        self._minute = 0

    def add(self, now: float, snapshot: Snapshot, cores: float) -> None:
        """Adds one sample; a minute without a sample at its start is left out."""
        minute = int(now // MINUTE) * MINUTE
        if minute == self._minute:
            return
        if self._begin is not None:
            used = snapshot.cpu_seconds - self._begin.cpu_seconds
            self._means[self._minute] = min(100.0, 100 * used / (snapshot.at - self._begin.at) / cores)
        self._begin = snapshot if self._minute else None
        self._minute = minute

    def published(self, now: float, delay_seconds: float) -> dict[int, float]:
        """The means that are published by `now`, in percent, by the Unix time at which their minute starts."""
        return {minute: mean for minute, mean in self._means.items() if minute + MINUTE + delay_seconds <= now}


def response(request: Mapping[str, Any], points: Mapping[int, float]) -> dict[str, Any]:
    """The response to GetMetricData: points of CPUUtilization within the requested span; other metrics have none."""
    results = []
    for query in request["MetricDataQueries"]:
        is_cpu = query["MetricStat"]["Metric"]["MetricName"] == "CPUUtilization"
        minutes = [at for at in points if is_cpu and request["StartTime"] <= at < request["EndTime"]]
        newest_first = sorted(minutes, reverse=True)
        series = {
            "Timestamps": [datetime.fromtimestamp(at, UTC) for at in newest_first],
            "Values": [points[at] for at in newest_first],
        }
        results.append({"Id": query["Id"], **series, "StatusCode": "Complete"})
    return {"MetricDataResults": results}


async def work(postmaster: int, delay_seconds: float) -> None:
    """Samples the CPU and serves requests until cancelled."""
    tree, minutes = ProcessTree(postmaster), Minutes()
    async with AwsServices.running() as services:
        services.answer(
            "cloudwatch",
            "GetMetricData",
            lambda request: response(request, minutes.published(time.time(), delay_seconds)),
        )
        print(services.endpoint_url, flush=True)
        while True:
            minutes.add(time.time(), await asyncio.to_thread(tree.snapshot), tree.cores())
            await asyncio.sleep(1 - time.time() % 1)


def main() -> None:
    """Prints the address and serves until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.governor_live.cloudwatch", description=__doc__)
    parser.add_argument("--postmaster", type=int, required=True)
    parser.add_argument("--delay-seconds", type=float, required=True)
    options = parser.parse_args()
    serve(lambda: work(options.postmaster, options.delay_seconds))


if __name__ == "__main__":
    main()
