"""Support for a transaction pooler (PgBouncer, or a proxy that works like it) in front of the database.

With a pooler, two transactions of one connection may run in different sessions, and other clients use a session in
between. So no state may remain in it: statements are not prepared under a name (PgBouncer before 1.21 loses them),
session settings are set in each transaction, and every statement runs inside a transaction, because the driver sends a
statement in several steps that must reach the same session.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import asyncpg

from subscriber.choices import Pooler

STARTUP_SETTINGS = frozenset({"application_name", "timezone"})
"""Settings that PgBouncer tracks for each client; it rejects a connection that starts with others than these,
client_encoding, datestyle and standard_conforming_strings ("ignore_startup_parameters", PgBouncer configuration)."""


def startup_settings(settings: Mapping[str, str], pooler: Pooler) -> dict[str, str]:
    """The part of `settings` that the startup message may contain."""
    if pooler == "none":
        return dict(settings)
    return {name: value for name, value in settings.items() if name in STARTUP_SETTINGS}


def local_settings(settings: Mapping[str, str]) -> str:
    """The other settings as the first statement of a transaction; they end with it."""
    names = sorted(settings.keys() - STARTUP_SETTINGS)
    return "; ".join(f"SET LOCAL {name} = '{settings[name]}'" for name in names)


@asynccontextmanager
async def unit_of_work(
    connection: asyncpg.Connection[asyncpg.Record], settings: Mapping[str, str], pooler: Pooler
) -> AsyncIterator[None]:
    """Run the block in a transaction with our settings if there is a pooler; otherwise do nothing.

    Without a pooler a statement commits by itself, which saves three round trips. After an error of the server the
    transaction is rolled back and the connection can be reused. After any other error its state is unknown: the caller
    drops the connection without waiting for a rollback.
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
