"""Notes what was stored of each bucket in the table of buckets, by one small statement every ten seconds.

The batches write nothing for it, and the last statement comes at the end of the daemon. What is not noted yet is in
memory, so a crash loses some seconds of it: the number of rows stays too small, and the times are right again with the
next event of the bucket.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping

from subscriber.buckets import BucketTallies, BucketTally
from subscriber.errors import SubscriberError
from subscriber.flow.backoff import is_power_of_two
from subscriber.observe.log import get_logger

PERIOD_SECONDS = 10.0
JITTER = 0.2
"""Part of the period by which a pause is longer or shorter, so that daemons started together do not write together."""
END_SECONDS = 2.0
"""For the last statement, while messages are released."""

_log = get_logger()


class BucketNotes:
    """One per daemon.

    Args:
        tallies: what the write stage has stored.
        write: adds to the table; raises SubscriberError, and its time is limited.
    """

    def __init__(self, tallies: BucketTallies, write: Callable[[Mapping[str, BucketTally]], Awaitable[None]]) -> None:
        self._tallies = tallies
        self._write = write
        self._failures = 0

    async def run(self) -> None:
        """Note periodically; ends by cancellation only."""
        while True:
            await asyncio.sleep(PERIOD_SECONDS * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 – jitter
            await self._note()

    async def end(self, running: asyncio.Task[None]) -> None:
        """Cancel `run` and note what is left, within two seconds."""
        running.cancel()
        await asyncio.wait([running], timeout=END_SECONDS / 2)
        try:
            async with asyncio.timeout(END_SECONDS / 2):
                await self._note()
        except TimeoutError:
            pass  # the database does not answer, and the stop does not wait for it

    async def _note(self) -> None:
        """One statement, if there is anything to note; what it does not note is kept, also when it is cancelled."""
        taken = self._tallies.take()
        if not taken:
            return
        try:
            await self._write(taken)
        except SubscriberError as error:
            self._tallies.put_back(taken)
            self._failures += 1
            if is_power_of_two(self._failures):
                _log.warning("buckets.not_noted", detail=str(error), failures=self._failures)
        except BaseException:
            self._tallies.put_back(taken)
            raise
        else:
            self._failures = 0
