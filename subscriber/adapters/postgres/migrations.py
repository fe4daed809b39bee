"""Bringing the schema to what this release needs, and seeing whether it is there.

All missing migrations run in one transaction, under an advisory lock: either all are there afterwards or none,
and of several tasks that start at once one migrates while the others wait and then find nothing to do.
"""

from __future__ import annotations

import hashlib

from subscriber.adapters.postgres.connection import Connection, StoreOptions
from subscriber.adapters.postgres.session import session
from subscriber.adapters.postgres.statements import Migration, migrations, quoted
from subscriber.errors import SchemaError

MIGRATION_TIMEOUT_SECONDS = 300.0
_COMMAND = "subscriber migrate"
_IF_DENIED = (
    "Migrations are for the owner of the schema, who may make it with CREATE on the database: run them as that role."
)


async def migrate(options: StoreOptions, timeout_seconds: float = MIGRATION_TIMEOUT_SECONDS) -> list[str]:
    """Apply the migrations that are missing; return their names, oldest first. Safe to run many times at once.

    Raises:
        SchemaError: the schema is of a later major than this release, or the database cannot hold every key.
        StoreError: the database refuses; then nothing has changed.
    """
    async with session(options, timeout_seconds, if_denied=_IF_DENIED) as connection, connection.transaction():
        _refuse_other_encodings(connection)
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _lock_key(options.schema))
        await _make_ledger(connection, options.schema)
        applied = await _applied(connection, options.schema)
        _refuse_later_major(options.schema, applied)
        missing = [step for step in migrations(options.schema) if (step.major, step.number) not in applied]
        for step in missing:
            await _apply(connection, options.schema, step)
        return [step.name for step in missing]


async def check_schema(options: StoreOptions) -> None:
    """Return if the schema is one that this release can write to: of its major, and not older.

    Raises:
        SchemaError: it is not; the text says what to do.
        StoreError: the database refuses.
    """
    async with session(options, options.write_timeout_seconds) as connection:
        _refuse_other_encodings(connection)
        ledger = await connection.fetchval("SELECT to_regclass($1)::text", _ledger(options.schema))
        applied = await _applied(connection, options.schema) if ledger else frozenset()
    _refuse_later_major(options.schema, applied)
    missing = [step.name for step in migrations(options.schema) if (step.major, step.number) not in applied]
    if not applied:
        raise SchemaError(f"The schema {options.schema} has no tables of ours. Run: {_COMMAND}")
    if missing:
        raise SchemaError(f"The schema {options.schema} lacks {', '.join(missing)}. Run: {_COMMAND}")


def _refuse_later_major(schema: str, applied: frozenset[tuple[int, int]]) -> None:
    """A newer schema of our own major is fine: steps within a major only add."""
    ours = max(step.major for step in migrations(schema))
    theirs = max((major for major, _ in applied), default=ours)
    if theirs > ours:
        raise SchemaError(
            f"The schema {schema} is of major {theirs}, and this release knows majors up to {ours}: it would "
            "not understand the tables. Run a newer release, or give this one a schema of its own."
        )


def _refuse_other_encodings(connection: Connection) -> None:
    """Keys are Unicode: in any other encoding good messages would end in quarantine, one strange key at a time."""
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
    # IF NOT EXISTS alone asks for the right to create schemas even where there is nothing to create.
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
    """A number that no other user of advisory locks is likely to have chosen, one per schema."""
    digest = hashlib.sha256(f"subscriber migrations of {schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
