"""Compares the settings of a session with those that its login asked for.

PostgreSQL itself grants them: a startup message overrides the defaults of server, database and role (PostgreSQL, "How
Configuration Parameters Are Set"). What is in between, or runs at the login, may not: PgBouncer drops the settings of
its `ignore_startup_parameters`, and a login event trigger (PostgreSQL 17) or a preloaded library may change them.
Messages are deleted after the commit of such a session, so a weaker one is not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import asyncpg

from subscriber.adapters.postgres.failures import WeakerSessionError

_DURABLE = frozenset({"on", "remote_apply"})
"""Values of synchronous_commit that promise at least what `on` does (PostgreSQL, "Write Ahead Log")."""

COMPARED = ("synchronous_commit", "default_transaction_isolation", "statement_timeout")
"""What the outcome of a write depends on. The others that a login asks for change its cost or its name."""

_AS_ASKED = """SELECT WHERE current_setting('synchronous_commit') <> '{synchronous_commit}'
    OR current_setting('default_transaction_isolation') <> '{default_transaction_isolation}'
    OR current_setting('statement_timeout')::interval <> '{statement_timeout} milliseconds'::interval"""
_SETTINGS = "SELECT name, setting, source FROM pg_settings WHERE name = ANY($1)"


async def require_granted(connection: asyncpg.Connection[asyncpg.Record], asked: Mapping[str, str]) -> None:
    """Reject a session that is weaker than asked, in one round trip if it is not.

    Args:
        connection: newly opened, or in a transaction that has set the settings.
        asked: by name; statement_timeout in milliseconds.

    Raises:
        WeakerSessionError: it names each setting with the values asked and granted, and where the latter comes from.
    """
    # A simple query, whose only answer is the number of its rows; a prepared one would take two round trips.
    if await connection.execute(_AS_ASKED.format_map(asked)) == "SELECT 0":
        return
    rows = await connection.fetch(_SETTINGS, COMPARED)
    granted = {row["name"]: row["setting"] for row in rows}
    sources = {row["name"]: row["source"] for row in rows}
    weaker = [
        f"{name} is {granted[name]} (source: {sources[name]}) instead of {asked[name]}"
        for name in weaker_settings(asked, granted)
    ]
    if weaker:
        raise WeakerSessionError(", ".join(weaker))


def weaker_settings(asked: Mapping[str, str], granted: Mapping[str, str]) -> Iterator[str]:
    """The names of the settings that promise less than was asked; statement_timeout is in milliseconds, 0: none.

    Another isolation than asked counts: concurrent upserts of one row would fail with 40001.
    """
    if granted["synchronous_commit"] not in _DURABLE:
        yield "synchronous_commit"
    if granted["default_transaction_isolation"] != asked["default_transaction_isolation"]:
        yield "default_transaction_isolation"
    if not 0 < int(granted["statement_timeout"]) <= int(asked["statement_timeout"]):
        yield "statement_timeout"
