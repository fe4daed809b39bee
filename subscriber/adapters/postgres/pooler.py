"""What changes where a transaction pooler (PgBouncer, or a proxy that works like it) stands before the database.

Behind one a session is not ours: two transactions of one connection may run in different sessions, and a session
serves strangers in between. So nothing may be left in it. Statements are not prepared under a name (PgBouncer before
1.21 loses them), what the session would be told at its start is told to each transaction, and a statement never runs
outside one: the steps in which the driver sends it would not be sure to reach the same session.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Literal, TypeAlias

import asyncpg

Pooler: TypeAlias = Literal["none", "transaction"]

STARTUP_SETTINGS = frozenset({"application_name", "timezone"})
"""What PgBouncer follows for each client; it refuses a connection that begins with any other setting than these,
client_encoding, datestyle and standard_conforming_strings ("ignore_startup_parameters", PgBouncer configuration)."""


def startup_settings(settings: Mapping[str, str], pooler: Pooler) -> dict[str, str]:
    """What of `settings` the first message of a connection may say."""
    if pooler == "none":
        return dict(settings)
    return {name: value for name, value in settings.items() if name in STARTUP_SETTINGS}


def local_settings(settings: Mapping[str, str]) -> str:
    """The rest of `settings`, as the first statement of a transaction: gone with its end."""
    rest = sorted(settings.keys() - STARTUP_SETTINGS)
    return "; ".join(f"SET LOCAL {name} = '{settings[name]}'" for name in rest)


@asynccontextmanager
async def unit_of_work(
    connection: asyncpg.Connection[asyncpg.Record], settings: Mapping[str, str], pooler: Pooler
) -> AsyncIterator[None]:
    """What surrounds the statements of the block: nothing, or with a pooler a transaction with our settings.

    Without a pooler a statement commits by itself, which spares three round trips. What the server refuses is rolled
    back and the connection is as good as before. After anything else nobody knows what it is in the middle of: the
    caller drops it, and no further word is waited for.
    """
    if pooler == "none":
        yield
        return
    transaction = connection.transaction(isolation="read_committed")
    await transaction.start()
    try:
        await connection.execute(local_settings(settings))
        yield
    except asyncpg.PostgresError:
        if not connection.is_closed():
            await transaction.rollback()
        raise
    await transaction.commit()
