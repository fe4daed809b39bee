"""Whether another range would help to fill the index: only while ranges mostly wait for their listing.

Each range inserts at a place of its own in the primary key. Only at the last place of a B-tree are full pages left
full; elsewhere they are halved (PostgreSQL, "B-Tree Implementation"). So the index grows larger with several ranges
than with one, and each row costs the server more (docs/explanation/performance.md has figures). S3 answers in a tenth
of a second, and four ranges are then four times as fast. Where it answers sooner than rows are written, one range is as
fast.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, TypeVar

T = TypeVar("T")

WAITING: Final = 0.5
"""From this part of their time on, ranges mostly wait."""
_KEPT: Final = 0.9
"""What is left of the times of a page when the next one has come: the last ten pages count most."""


class ListingWait:
    """The times of the ranges of one process that fill the index."""

    def __init__(self) -> None:
        self.ranges = 0
        """In work."""
        self._waited_seconds = 0.0
        self._seconds = 0.0

    @property
    def is_long(self) -> bool:
        """Whether another range would help: always, if this process fills none."""
        return not self.ranges or self._waited_seconds > WAITING * self._seconds

    async def timed(self, chunks: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """The chunks of a range that fills the index; the wait for each of them counts."""
        clock = asyncio.get_running_loop().time
        self.ranges += 1
        try:
            async with aclosing(chunks):
                began_at = clock()
                while (chunk := await anext(chunks, None)) is not None:
                    waited_until = clock()
                    yield chunk
                    self._add(waited_until - began_at, clock() - began_at)
                    began_at = clock()
        finally:
            self.ranges -= 1

    def _add(self, waited_seconds: float, seconds: float) -> None:
        self._waited_seconds = self._waited_seconds * _KEPT + waited_seconds
        self._seconds = self._seconds * _KEPT + seconds
