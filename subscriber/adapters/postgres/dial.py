"""Tries several hosts, and the addresses of one name, one after the other without waiting for a silent one.

A host that rejects the connection is left at once. A silent one keeps its time while the next one is tried beside it,
so it costs a moment and not the connection; and a slow one still wins if the others do not answer. The driver itself
has one deadline for all hosts and addresses together, which a silent first one uses up
(findings/asyncpg_silent_first_host.sh).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from subscriber.errors import StoreError

NEXT_SECONDS = 2.0
"""After so long without an answer the next host is tried, too; a login takes less while the database is healthy."""

ADDRESSES_AT_MOST = 8
"""Of one name: what is tried is bounded, whatever a name server answers."""

T = TypeVar("T")
Dial = Callable[[], Awaitable[T]]


def gap_seconds(limit_seconds: float, count: int) -> float:
    """The time until the next of `count` is tried, so that the last one has its share of the limit."""
    return min(NEXT_SECONDS, limit_seconds / count)


def is_final(error: BaseException) -> bool:
    """Whether no other host need be asked: a server has answered, or the mistake is ours."""
    if isinstance(error, StoreError):
        return error.sqlstate is not None and error.treatment.is_final_at_start
    return not isinstance(error, asyncio.CancelledError)


def most_telling(errors: Sequence[StoreError]) -> StoreError:
    """The failure to report for all hosts: what only an operator can fix, else an unreachable host, else a replica."""
    permanent = [error for error in errors if error.treatment.is_final_at_start]
    unreachable = [error for error in errors if error.word not in {"standby", "read_only", "read_only_setting"}]
    chosen = (permanent or unreachable or errors)[0]
    if len(errors) == 1:
        return chosen
    detail = "; ".join(dict.fromkeys(error.detail for error in errors))
    return StoreError(chosen.treatment, chosen.word, chosen.sqlstate, detail, chosen.advice)


async def first_of(dials: Sequence[Dial[T]], gap: float, discard: Callable[[T], None]) -> T:
    """The first that succeeds; the next one starts when one fails, or after `gap` seconds.

    Args:
        dials: at least one; each raises StoreError if it fails.
        gap: in seconds.
        discard: takes what succeeded too late.

    Raises:
        StoreError: all failed, or a server gave a final answer.
    """
    waiting, errors = list(dials), list[StoreError]()
    started: list[asyncio.Task[T]] = []
    winner: asyncio.Task[T] | None = None
    try:
        while winner is None and (waiting or not all(task.done() for task in started)):
            if waiting:
                started.append(_named(waiting.pop(0)))
            winner = await _first_success(started, gap if waiting else None, errors)
        if winner is None:
            raise most_telling(errors)
        return winner.result()
    finally:
        late = [task for task in started if task is not winner]
        for task in late:
            task.cancel()
        for outcome in await asyncio.gather(*late, return_exceptions=True):
            if not isinstance(outcome, BaseException):
                discard(outcome)


def _named(dial: Dial[T]) -> asyncio.Task[T]:
    async def call() -> T:
        return await dial()

    return asyncio.create_task(call(), name="connect to the database")


async def _first_success(
    started: Sequence[asyncio.Task[T]], timeout: float | None, errors: list[StoreError]
) -> asyncio.Task[T] | None:
    """The task that has succeeded; None: nothing has yet. Adds to `errors` what has failed."""
    running = [task for task in started if not task.done()]
    done, _ = await asyncio.wait(running, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    succeeded = [task for task in done if task.exception() is None]
    if succeeded:
        return succeeded[0]
    for error in (task.exception() for task in done):
        if error is not None and is_final(error):
            raise error
        if isinstance(error, StoreError):
            errors.append(error)
    return None
