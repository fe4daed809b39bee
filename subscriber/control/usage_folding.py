"""Folds what statements have added to the counters of usage into their totals, beside the writes.

One daemon of the fleet folds at a time; for the others a call costs one look-up. Answers are exact whether or not it
happens: it only keeps them quick.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from subscriber.errors import SubscriberError
from subscriber.flow.backoff import is_power_of_two
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics

PERIOD_SECONDS = 5.0
JITTER = 0.2
"""Part of the period by which a pause is longer or shorter, so that daemons started together do not call together."""
ROWS_AT_MOST = 10_000
"""Of one fold: some tenths of a second, and a small transaction."""
ROWS_AT_LEAST = 100
"""A fold that fails, as one that took too long, is tried with half as many rows, down to these."""

_log = get_logger()


class UsageFolding:
    """One per daemon.

    Args:
        fold: folds so many rows at most, and says how many deltas and noted keys there were; raises SubscriberError.
        metrics: where folded rows are counted.
    """

    def __init__(self, fold: Callable[[int], Awaitable[tuple[int, int]]], metrics: Metrics) -> None:
        self._fold = fold
        self._metrics = metrics
        self._failures = 0
        self._rows = ROWS_AT_MOST

    async def run(self) -> None:
        """Fold periodically, and at once again while there is more; ends by cancellation only."""
        while True:
            await asyncio.sleep(PERIOD_SECONDS * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 – jitter
            while await self._fold_once():
                pass

    async def _fold_once(self) -> bool:
        """Whether there is probably more."""
        try:
            deltas, touched = await self._fold(self._rows)
        except SubscriberError as error:
            self._failures += 1
            self._rows = max(ROWS_AT_LEAST, self._rows // 2)
            if is_power_of_two(self._failures):
                _log.warning("usage.not_folded", detail=str(error), failures=self._failures)
            return False
        self._failures = 0
        self._metrics.usage_folded_rows.labels("delta").inc(deltas)
        self._metrics.usage_folded_rows.labels("key").inc(touched)
        is_full = max(deltas, touched) >= self._rows
        self._rows = min(ROWS_AT_MOST, 2 * self._rows)
        return is_full
