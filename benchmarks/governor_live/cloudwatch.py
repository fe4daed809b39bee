"""CloudWatch as it would tell of the plant's database: means of whole minutes, told so much later.

    python -m benchmarks.governor_live.cloudwatch --postmaster 4711 --delay-seconds 60

A process of its own that reads the server's processor time every second and answers GetMetricData in the service's
shape; everything else is denied, as to a role without a policy. It prints its address and ends on SIGTERM.
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
INSTANCE: Final = "plant"


class Minutes:
    """Means of the processor's use, minute by minute of the wall clock."""

    def __init__(self) -> None:
        self._means: dict[int, float] = {}
        self._begin: Snapshot | None = None
        self._minute = 0

    def add(self, now: float, snapshot: Snapshot, cores: float) -> None:
        """One more look; a minute that was not seen from its begin is none."""
        minute = int(now // MINUTE) * MINUTE
        if minute == self._minute:
            return
        if self._begin is not None:
            used = snapshot.cpu_seconds - self._begin.cpu_seconds
            self._means[self._minute] = min(100.0, 100 * used / (snapshot.at - self._begin.at) / cores)
        self._begin = snapshot if self._minute else None
        self._minute = minute

    def told(self, now: float, delay_seconds: float) -> dict[int, float]:
        """What has been published by now, by the begin of the minute."""
        return {minute: mean for minute, mean in self._means.items() if minute + MINUTE + delay_seconds <= now}


def answer(asked: Mapping[str, Any], points: Mapping[int, float]) -> dict[str, Any]:
    """GetMetricData's: the points inside the span that was asked for, of CPUUtilization alone."""
    results = []
    for query in asked["MetricDataQueries"]:
        is_cpu = query["MetricStat"]["Metric"]["MetricName"] == "CPUUtilization"
        minutes = [at for at in points if is_cpu and asked["StartTime"] <= at < asked["EndTime"]]
        newest_first = sorted(minutes, reverse=True)
        told = {
            "Timestamps": [datetime.fromtimestamp(at, UTC) for at in newest_first],
            "Values": [points[at] for at in newest_first],
        }
        results.append({"Id": query["Id"], **told, "StatusCode": "Complete"})
    return {"MetricDataResults": results}


async def work(postmaster: int, delay_seconds: float) -> None:
    """Looks and answers until cancelled."""
    tree, minutes = ProcessTree(postmaster), Minutes()
    async with AwsServices.running() as services:
        services.answer(
            "cloudwatch", "GetMetricData", lambda asked: answer(asked, minutes.told(time.time(), delay_seconds))
        )
        print(services.endpoint_url, flush=True)
        while True:
            minutes.add(time.time(), await asyncio.to_thread(tree.snapshot), tree.cores())
            await asyncio.sleep(1 - time.time() % 1)


def main() -> None:
    """Prints its address, serves, ends."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.governor_live.cloudwatch", description=__doc__)
    parser.add_argument("--postmaster", type=int, required=True)
    parser.add_argument("--delay-seconds", type=float, required=True)
    options = parser.parse_args()
    serve(lambda: work(options.postmaster, options.delay_seconds))


if __name__ == "__main__":
    main()
