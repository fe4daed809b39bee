"""A walk over numbered keys, in place of a listing: it records every key that it does, and who did it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

import asyncpg

from subscriber.jobs import Counters, Job, JobRange, NewJob, PageDone, Tolerance
from subscriber.model import KeyRange
from subscriber.reconcile.worker import DoRange

PAGE_KEYS = 10
MOMENT = 1_795_341_600
NONE_TOLERATED = Tolerance()


def key(number: int) -> str:
    """The key with a number, from 1."""
    return f"key-{number:05}"


def ranges(total: int, count: int) -> tuple[KeyRange, ...]:
    """As many ranges of equal size; the last one has no end."""
    ends = [key(total * (index + 1) // count) for index in range(count - 1)]
    return tuple(KeyRange(after, upto) for after, upto in zip(["", *ends], [*ends, None], strict=True))


def new_job(total: int, count: int, *, concurrency: int = 8, tolerance: Tolerance = NONE_TOLERATED) -> NewJob:
    """A job over keys 1 to `total`."""
    return NewJob(
        "reconcile", "lake", "key-", ranges(total, count), "tester@host", concurrency=concurrency, tolerance=tolerance
    )


async def make_record(database: asyncpg.Connection[asyncpg.Record]) -> None:
    """Create the table of keys that were done."""
    await database.execute("CREATE TABLE IF NOT EXISTS done (key text, worker text, number integer)")


def walk(
    record: Callable[[Sequence[tuple[str, str, int]]], Awaitable[object]],
    total: int,
    worker: str,
    before_page: Callable[[JobRange, int], Awaitable[object]] = lambda *_: asyncio.sleep(0),
) -> DoRange:
    """Does the keys 1 to `total`, ten a page; `before_page` gets the range and the first number of the page."""

    async def do_range(_: Job, held: JobRange) -> AsyncGenerator[PageDone, str | None]:
        left = held.remaining
        numbers = [n for n in range(1, total + 1) if key(n) > left.after and (left.upto is None or key(n) <= left.upto)]
        for start in range(0, len(numbers), PAGE_KEYS):
            page = [n for n in numbers[start : start + PAGE_KEYS] if left.upto is None or key(n) <= left.upto]
            await before_page(held, page[0])
            await record([(key(number), worker, held.number) for number in page])
            upto = yield PageDone(key(page[-1]), MOMENT, Counters(listed=len(page), requests=1))
            left = KeyRange(left.after, upto)

    return do_range


def recorder(
    database: asyncpg.Connection[asyncpg.Record],
) -> Callable[[Sequence[tuple[str, str, int]]], Awaitable[object]]:
    """Writes to the table of keys, at once."""
    turn = asyncio.Lock()

    async def record(rows: Sequence[tuple[str, str, int]]) -> None:
        async with turn:
            await database.executemany("INSERT INTO done VALUES ($1, $2, $3)", rows)

    return record
