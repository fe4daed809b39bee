"""Publishes how old the youngest event of each bucket is: once a minute, from the table of buckets.

A bucket whose notification somebody removed sends nothing, which no queue shows where other buckets send. The number is
that of all workers and survives a restart. While the table cannot be read there is no series, since an old number would
look like a true one.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence

from subscriber.control.periodic_read import read_periodically
from subscriber.errors import SubscriberError
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics

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
        await read_periodically(self._read_once, self._gauge.clear, _warn)

    async def _read_once(self) -> None:
        self._publish(await self._read(self._buckets))

    def _publish(self, ages: Mapping[str, float]) -> None:
        for label in self._buckets or ("all",):
            self._gauge.labels(label).set(ages.get(label, math.nan))


def _warn(error: SubscriberError, failures: int) -> None:
    _log.warning("buckets.not_read", detail=str(error), attempts=failures)
