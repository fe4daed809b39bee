"""Changes of the schema beside running writers: locks are taken within a second or let go, and tried for again.

PostgreSQL queues every later lock behind one that waits, also those of the writers. So a step waits for a second at
most; then all of it is rolled back, and those who waited get their turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.session import session
from subscriber.adapters.postgres.statements import statement
from subscriber.errors import SchemaError, StoreError
from subscriber.flow.backoff import is_power_of_two
from subscriber.observe.log import get_logger

T = TypeVar("T")

LOCK_SECONDS = 1.0
LOCK_PAUSE_SECONDS = 2.0
"""Until the next try."""
LOCK_TRIES_SECONDS = 60.0
"""Long transactions of a dashboard end within a minute; a backup or a forgotten session must be named."""
HOLDERS_TIMEOUT_SECONDS = 5.0
HOLDERS_AT_MOST = 5
"""Sessions named in an error; the oldest transaction is nearly always the cause."""
_LOCK_NOT_AVAILABLE = "55P03"
SET_LOCK_TIMEOUT = f"SET LOCAL lock_timeout = {round(LOCK_SECONDS * 1000)}"
"""The first statement of the transaction."""

_log = get_logger()


async def tried_for_locks(
    options: StoreOptions, run: Callable[[], Awaitable[T]], what_failed: str, tries_seconds: float = LOCK_TRIES_SECONDS
) -> T:
    """Run a transaction that gives up with lock_timeout, again and again while other sessions hold its locks.

    Args:
        options: how to connect, to ask who holds them.
        run: the transaction; it begins with SET_LOCK_TIMEOUT.
        what_failed: for the error, the beginning of its sentence.
        tries_seconds: after which a lock that another session holds ends the tries.

    Raises:
        SchemaError: other sessions hold locks all the time; the text names them.
        StoreError: the database failed.
    """
    clock = asyncio.get_running_loop().time
    ends_at = clock() + tries_seconds
    tries = 0
    while True:
        try:
            return await run()
        except StoreError as error:
            if error.sqlstate != _LOCK_NOT_AVAILABLE:
                raise
        tries += 1
        holders = await lock_holders(options)
        if clock() >= ends_at:
            raise SchemaError(_locked(what_failed, tries_seconds, holders))
        if is_power_of_two(tries):
            _log.warning("schema.locked", schema=options.schema, holders=holders)
        await asyncio.sleep(LOCK_PAUSE_SECONDS)


async def lock_holders(options: StoreOptions) -> list[str]:
    """The sessions that hold locks on our tables, the oldest transaction first; empty if they cannot be read."""
    try:
        async with session(options, HOLDERS_TIMEOUT_SECONDS) as connection:
            rows = await connection.fetch(statement("lock_holders", ""), options.schema, HOLDERS_AT_MOST)
    except StoreError:  # the list is optional
        return []
    return [_holder(row["pid"], row["application_name"], row["user_name"], row["query_start"]) for row in rows]


def _holder(pid: int, application: str | None, user: str | None, query_start: datetime | None) -> str:
    """One session, for the operator. PostgreSQL hides times of other users' sessions from ordinary users."""
    since = f", last query started {query_start:%Y-%m-%d %H:%M:%S} UTC" if query_start else ""
    return f"pid {pid} (application {application or 'unnamed'}, user {user or 'unknown'}{since})"


def _locked(what_failed: str, tries_seconds: float, holders: Sequence[str]) -> str:
    named = ", ".join(holders) or "unknown sessions, which have ended meanwhile or cannot be read"
    return (
        f"{what_failed}: for {tries_seconds:g} s other sessions held locks on its tables: "
        f"{named}. End their transactions or wait for them, and run the command again"
    )
