"""Evidence where no other message brings any: a row of our own is written and rolled back.

A message that fails alone is poison only if the database stores other rows. In a quiet night no other row comes, so one
is made up after a moment, as similar to the suspect's as possible (its bucket, its times), under a key of our own. It
is evidence for one or two suspects only. Where many messages fail and none succeeds, a trigger may fail for all real
rows and accept ours; to believe our row would empty the queue into the quarantine.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from subscriber.flow.backoff import Backoff
from subscriber.flow.breaker import CircuitBreaker
from subscriber.flow.limiter import ConcurrencyLimiter
from subscriber.model import ObjectEvent
from subscriber.pipeline.attempts import Attempts

COMPARE_AFTER = Backoff(first_seconds=0.5, max_seconds=10.0, jitter=0.0)
"""Time for another message to bring the evidence; below the breaker's OPEN_AFTER_SECONDS."""

SUSPECTS_AT_MOST = 2

COMPARISON_PREFIX = ".subscriber-comparison/"


def comparison_row(row: ObjectEvent | None) -> ObjectEvent:
    """A row like `row` that says nothing about an object, under a key that no other session locks."""
    key = COMPARISON_PREFIX + secrets.token_hex(8)
    if row is None:
        return ObjectEvent(
            bucket="subscriber",
            key=key,
            version_id="",
            state="present",
            sequencer="",
            event_name="Comparison",
            event_time=datetime.now(UTC),
            size_bytes=0,
            etag=None,
        )
    sequencer, name, time = row.sequencer, row.event_name, row.event_time
    return ObjectEvent(row.bucket, key, "", "present", sequencer, name, time, size_bytes=0, etag=None)


class Comparison:
    """One for the write stage: knows who waits for evidence, and makes some where there is none."""

    def __init__(self, attempts: Attempts, breaker: CircuitBreaker, limiter: ConcurrencyLimiter) -> None:
        self._attempts = attempts
        self._breaker = breaker
        self._limiter = limiter
        self._suspects: dict[int, Sequence[ObjectEvent | None]] = {}
        self._is_needed = asyncio.Event()

    @contextmanager
    def of(self, suspects: Sequence[ObjectEvent | None]) -> Iterator[None]:
        """Around a wait: a row of each message that waits, or None for bodies."""
        place = id(suspects)
        self._suspects[place] = suspects
        self._is_needed.set()
        try:
            yield
        finally:
            del self._suspects[place]
            if not self._suspects:
                self._is_needed.clear()

    async def probe(self, ping: Callable[[], Awaitable[None]]) -> None:
        """Ask the database for the breaker; where a suspect or two are all that waits, compare as well.

        Raises:
            StoreError: it does not answer.
        """
        await ping()
        await self._compare()

    async def run(self) -> None:
        """Compare where it is needed, for ever; ends by cancellation only."""
        made = 0
        while True:
            await self._is_needed.wait()
            before = self._attempts.evidence()
            await asyncio.sleep(COMPARE_AFTER.delay_seconds(made + 1))
            made = made + 1 if self._suspects else 0
            if self._attempts.evidence() == before and not self._breaker.is_unavailable:
                await self._compare()

    async def _compare(self) -> None:
        rows = [row for suspects in self._suspects.values() for row in suspects]
        if 1 <= len(rows) <= SUSPECTS_AT_MOST and not self._limiter.is_paused:
            await self._attempts.compare(comparison_row(rows[0]))
