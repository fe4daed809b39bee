"""Counts what waits in the quarantine, for the metric: once a minute, by one statement.

The counter of quarantined messages says what came; this says what is still to be done, and survives a restart. While
the table cannot be read there is no series, since an old number would look like a true one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from subscriber.control.periodic_read import read_periodically
from subscriber.errors import SubscriberError
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics

REASONS_AT_MOST = 50
"""Of one answer; ours are a short closed list, but a row may have been inserted by hand."""

_log = get_logger()


class QuarantineCount:
    """One per daemon.

    Args:
        read: asks the database for the numbers by reason; raises SubscriberError, and its time is limited.
        metrics: the catalog.
    """

    def __init__(self, read: Callable[[], Awaitable[Mapping[str, int]]], metrics: Metrics) -> None:
        self._read = read
        self._gauge = metrics.quarantine_waiting_messages
        self._reasons: set[str] = set()
        """Those that have a series: one that no message has any more is 0."""

    async def run(self) -> None:
        """Read periodically; ends by cancellation only."""
        await read_periodically(self._read_once, self._forget, _warn)

    async def _read_once(self) -> None:
        self._publish(await self._read())

    def _publish(self, waiting: Mapping[str, int]) -> None:
        if len(self._reasons | waiting.keys()) > 2 * REASONS_AT_MOST:
            self._forget()
        self._reasons |= waiting.keys()
        for reason in self._reasons:
            self._gauge.labels(reason).set(waiting.get(reason, 0))

    def _forget(self) -> None:
        self._gauge.clear()
        self._reasons.clear()


def _warn(error: SubscriberError, failures: int) -> None:
    _log.warning("quarantine.not_counted", detail=str(error), attempts=failures)
