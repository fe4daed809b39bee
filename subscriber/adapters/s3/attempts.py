"""Repeats requests to a bucket that may succeed later, under a budget of requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from subscriber.adapters.aws.http_connection import HttpResponse
from subscriber.adapters.s3.fault import THROTTLED_CODES
from subscriber.errors import ListingError
from subscriber.flow.backoff import Backoff, delay_as_asked, is_power_of_two
from subscriber.flow.request_budget import RequestBudget, RequestLimits
from subscriber.observe.log import get_logger

ATTEMPTS = 8
"""With BACKOFF a minute at most, longer than S3 takes to split a busy partition's load in most cases."""
BACKOFF = Backoff(first_seconds=0.2, max_seconds=20.0, jitter=0.5)

_log = get_logger()

T = TypeVar("T")


class Attempts:
    """Asks until an answer can be read, ATTEMPTS times at most.

    Args:
        bucket: its name, for the log.
        limits: of the budget.
    """

    def __init__(self, bucket: str, limits: RequestLimits) -> None:
        self._bucket = bucket
        self._budget = RequestBudget(limits)
        self._failures = 0

    @property
    def requests(self) -> Mapping[str, int]:
        """Requests started so far, by operation: S3 charges for each of them, failed ones included."""
        return self._budget.started

    async def until_read(
        self, operation: str, ask: Callable[[], Awaitable[HttpResponse]], read: Callable[[HttpResponse], T]
    ) -> T:
        """What `read` makes of the first answer that it takes.

        Raises:
            ListingError: asking again would not help, or ATTEMPTS were in vain.
        """
        for failures in range(1, ATTEMPTS):
            try:
                async with self._budget.request(operation):
                    return read(await ask())
            except ListingError as error:
                if error.is_permanent:
                    raise
                delay_seconds = self._delay_after(error, failures)
            await asyncio.sleep(delay_seconds)
        async with self._budget.request(operation):
            return read(await ask())

    def _delay_after(self, error: ListingError, failures: int) -> float:
        if error.code in THROTTLED_CODES:
            self._budget.slow_down()
        self._failures += 1
        if is_power_of_two(self._failures):
            _log.warning("listing.retrying", bucket=self._bucket, reason=str(error), failures=self._failures)
        return delay_as_asked(BACKOFF.delay_seconds(failures), error.retry_after_seconds)
