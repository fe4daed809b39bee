"""Applies the schema migrations of this release and checks which have been applied.

All missing migrations run in one transaction under an advisory lock: either all are applied or none. If several tasks
start at once, one migrates while the others wait and then find nothing to do.
"""

from __future__ import annotations

import hashlib

from subscriber.adapters.postgres.connection import CONNECT_SECONDS, Connection, StoreOptions
from subscriber.adapters.postgres.session import session
from subscriber.adapters.postgres.short_locks import LOCK_TRIES_SECONDS, SET_LOCK_TIMEOUT, tried_for_locks
from subscriber.adapters.postgres.statements import Migration, migrations, quoted
from subscriber.errors import SchemaError

MIGRATION_TIMEOUT_SECONDS = 300.0
_COMMAND = "subscriber migrate"
_IF_DENIED = (
    "Only the owner of the schema can migrate; creating the schema takes CREATE on the database: run it as that role."
)


async def migrate(
    options: StoreOptions,
    timeout_seconds: float = MIGRATION_TIMEOUT_SECONDS,
    lock_tries_seconds: float = LOCK_TRIES_SECONDS,
) -> list[str]:
    """Apply the missing migrations and return their names, oldest first. Concurrent runs are safe.

    A step waits for a lock for a second at most, because every other session waits behind it meanwhile. Then all is
    rolled back and tried again after a pause.

    Args:
        options: how to connect.
        timeout_seconds: for one try.
        lock_tries_seconds: after which a lock that another session holds ends the tries.

    Raises:
        SchemaError: the schema has a later major than this release, the encoding of the database is not UTF8, or other
            sessions hold locks all the time; the text names them.
        StoreError: the database failed; nothing has changed.
    """
    return await tried_for_locks(
        options,
        lambda: _migrate_once(options, timeout_seconds),
        f"The schema {options.schema} was not migrated",
        lock_tries_seconds,
    )


async def _migrate_once(options: StoreOptions, timeout_seconds: float) -> list[str]:
    async with session(options, timeout_seconds, if_denied=_IF_DENIED) as connection, connection.transaction():
        _require_utf8(connection)
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _lock_key(options.schema))
        await connection.execute(SET_LOCK_TIMEOUT)
        await _make_ledger(connection, options.schema)
        applied = await _applied(connection, options.schema)
        _require_supported_major(options.schema, applied)
        missing = [step for step in migrations(options.schema) if (step.major, step.number) not in applied]
        for step in missing:
            await _apply(connection, options.schema, step)
        return [step.name for step in missing]


async def check_schema(options: StoreOptions) -> None:
    """Check that this release can write to the schema: it has the same major and is not older.

    Raises:
        SchemaError: it cannot; the text says what to do.
        StoreError: the database failed.
    """
    async with session(options, CONNECT_SECONDS + options.write_timeout_seconds) as connection:
        await require_schema(connection, options.schema)


async def require_schema(connection: Connection, schema: str) -> None:
    """The same on a connection that is open.

    Raises:
        SchemaError: the release cannot write to the schema; the text says what to do.
    """
    _require_utf8(connection)
    ledger = await connection.fetchval("SELECT to_regclass($1)::text", _ledger(schema))
    applied = await _applied(connection, schema) if ledger else frozenset()
    _require_supported_major(schema, applied)
    missing = [step.name for step in migrations(schema) if (step.major, step.number) not in applied]
    if not applied:
        raise SchemaError(f"The schema {schema} has no tables of this program. Run: {_COMMAND}")
    if missing:
        raise SchemaError(f"The schema {schema} lacks {', '.join(missing)}. Run: {_COMMAND}")


def _require_supported_major(schema: str, applied: frozenset[tuple[int, int]]) -> None:
    """Reject a later major only: migrations within a major only add, so a newer schema of our major works."""
    ours = max(step.major for step in migrations(schema))
    theirs = max((major for major, _ in applied), default=ours)
    if theirs > ours:
        raise SchemaError(
            f"The schema {schema} has major version {theirs}, and this release supports {ours} at most. "
            "Run a newer release, or give this one a schema of its own."
        )


def _require_utf8(connection: Connection) -> None:
    """Keys are Unicode: with another encoding, valid messages would end in quarantine because of their keys."""
    encoding = connection.get_settings().server_encoding
    if encoding != "UTF8":
        raise SchemaError(f"The database has the encoding {encoding}; create one with ENCODING 'UTF8'.")


async def _apply(connection: Connection, schema: str, step: Migration) -> None:
    await connection.execute(step.sql)
    await connection.execute(
        f"INSERT INTO {_ledger(schema)} (major, number, name) VALUES ($1, $2, $3)",  # noqa: S608  -- quoted
        step.major,
        step.number,
        step.name,
    )


async def _make_ledger(connection: Connection, schema: str) -> None:
    # CREATE SCHEMA IF NOT EXISTS needs the CREATE privilege even if the schema exists.
    if await connection.fetchval("SELECT to_regnamespace($1)::text", quoted(schema)) is None:
        await connection.execute(f"CREATE SCHEMA {quoted(schema)}")
    await connection.execute(
        f"""CREATE TABLE IF NOT EXISTS {_ledger(schema)} (
            major      integer NOT NULL,
            number     integer NOT NULL,
            name       text COLLATE "C" NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (major, number)
        )"""
    )


async def _applied(connection: Connection, schema: str) -> frozenset[tuple[int, int]]:
    rows = await connection.fetch(f"SELECT major, number FROM {_ledger(schema)}")  # noqa: S608  -- quoted
    return frozenset((row["major"], row["number"]) for row in rows)


def _ledger(schema: str) -> str:
    return f"{quoted(schema)}.schema_migrations"


def _lock_key(schema: str) -> int:
    """The advisory lock of a schema; a hash, so that other users of advisory locks hardly have the same number."""
    digest = hashlib.sha256(f"subscriber migrations of {schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
