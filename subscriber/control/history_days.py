"""Keeps the partitions of the history ahead of the days, beside the writes, and drops those that are old.

One daemon of the fleet is at it at a time; for the others a call costs one look-up. Without a partition a change goes
to the default one, so no write fails.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from subscriber.changes import TendedDays
from subscriber.errors import SubscriberError
from subscriber.flow.backoff import is_power_of_two
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics

PERIOD_SECONDS = 3600.0
RETRY_SECONDS = 60.0
"""After a failure, as when a reader holds a lock."""
JITTER = 0.2
"""Part of a pause by which it is longer or shorter, so that daemons started together do not call together."""

_log = get_logger()


class HistoryTending:
    """One per daemon.

    Args:
        tend: makes and drops what is due; raises SubscriberError.
        metrics: where the days ahead are shown.
    """

    def __init__(self, tend: Callable[[], Awaitable[TendedDays]], metrics: Metrics) -> None:
        self._tend = tend
        self._metrics = metrics
        self._failures = 0

    async def run(self) -> None:
        """Tend at once and then periodically; ends by cancellation only."""
        while True:
            pause = PERIOD_SECONDS if await self._tend_once() else RETRY_SECONDS
            await asyncio.sleep(pause * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 – jitter

    async def _tend_once(self) -> bool:
        """Whether it was done."""
        try:
            days = await self._tend()
        except SubscriberError as error:
            self._failures += 1
            if is_power_of_two(self._failures):
                _log.warning("history.not_tended", detail=str(error), failures=self._failures)
            return False
        self._failures = 0
        if days.made or days.dropped:
            _log.info("history.tended", made=days.made, dropped=days.dropped, days_ahead=days.days_ahead)
        if days.days_ahead is not None:
            self._metrics.history_days_ahead.labels("history").set(days.days_ahead)
        return True
