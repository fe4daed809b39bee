"""Publishes how old the youngest event of each bucket is: once a minute, from the table of buckets.

A bucket whose notification somebody removed sends nothing, which no queue shows where other buckets send. The number is
that of all workers and survives a restart. While the table cannot be read there is no series, since an old number would
look like a true one.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

from subscriber.errors import SubscriberError
from subscriber.flow.backoff import is_power_of_two
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics

PERIOD_SECONDS = 60.0
FIRST_READ_WITHIN_SECONDS = 5.0
JITTER = 0.2
"""Part of the period by which a pause is longer or shorter, so that workers started together do not read together."""

_log = get_logger()


class BucketAges:
    """One per daemon.

    Args:
        buckets: the allow-list, a series for each; empty: one for all, since an index may have any number of buckets.
        read: asks for the ages by bucket; raises SubscriberError, and its time is limited.
        metrics: the catalog.
    """

    def __init__(
        self,
        buckets: Sequence[str],
        read: Callable[[Sequence[str]], Awaitable[Mapping[str, float]]],
        metrics: Metrics,
    ) -> None:
        self._buckets = buckets
        self._read = read
        self._gauge = metrics.youngest_event_age_seconds

    async def run(self) -> None:
        """Read periodically; ends by cancellation only."""
        failures = 0
        await asyncio.sleep(FIRST_READ_WITHIN_SECONDS * random.random())  # noqa: S311 – jitter, not a secret
        while True:
            try:
                self._publish(await self._read(self._buckets))
                failures = 0
            except SubscriberError as error:
                self._gauge.clear()
                failures += 1
                if is_power_of_two(failures):
                    _log.warning("buckets.not_read", detail=str(error), attempts=failures)
            await asyncio.sleep(PERIOD_SECONDS * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 – jitter

    def _publish(self, ages: Mapping[str, float]) -> None:
        for label in self._buckets or ("all",):
            self._gauge.labels(label).set(ages.get(label, math.nan))
