"""Reads a number of the whole fleet from the database once a minute, for the metrics, and goes on after a failure."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from subscriber.errors import SubscriberError
from subscriber.flow.backoff import is_power_of_two

PERIOD_SECONDS = 60.0
FIRST_READ_WITHIN_SECONDS = 5.0
JITTER = 0.2
"""Part of the period by which a pause is longer or shorter, so that workers started together do not read together."""


async def read_periodically(
    read: Callable[[], Awaitable[None]], forget: Callable[[], None], warn: Callable[[SubscriberError, int], None]
) -> None:
    """Read for ever; ends by cancellation only.

    Args:
        read: asks the database and publishes the answer; raises SubscriberError, and its time is limited.
        forget: called after a failure: an old number would look like a true one.
        warn: logs a failure and how many there were in a row, for the first, second, fourth … of them.
    """
    failures = 0
    await asyncio.sleep(FIRST_READ_WITHIN_SECONDS * random.random())  # noqa: S311 – jitter, not a secret
    while True:
        try:
            await read()
            failures = 0
        except SubscriberError as error:
            forget()
            failures += 1
            if is_power_of_two(failures):
                warn(error, failures)
        await asyncio.sleep(PERIOD_SECONDS * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 – jitter
