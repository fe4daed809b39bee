"""Checks with the daemon's own connection that the database answers, grants the privileges and has the schema."""

from __future__ import annotations

from subscriber.adapters.postgres.connection import Connection, StoreOptions
from subscriber.adapters.postgres.migrations import check_schema
from subscriber.adapters.postgres.session import session
from subscriber.adapters.postgres.statements import statement
from subscriber.check.rules.database import (
    NEEDED,
    DatabaseFacts,
    can_read_ledger,
    database_findings,
    failure_finding,
    schema_finding,
)
from subscriber.check.rules.finding import Finding
from subscriber.choices import AuthMethod
from subscriber.errors import SchemaError, StoreError

PROBE_SECONDS = 10.0


async def probe_database(options: StoreOptions, auth: AuthMethod) -> list[Finding]:
    """Check the database; an empty list means that the daemon can start.

    Raises:
        ConfigurationError: the CA file or the URL cannot be used.
    """
    try:
        async with session(options, PROBE_SECONDS) as connection:
            facts = await _facts(connection, options.schema)
    except StoreError as error:
        return [failure_finding(error, auth)]
    found = list(database_findings(options.schema, facts, options.connections_max))
    if can_read_ledger(facts):
        found += await _probe_schema(options, auth)
    return found


async def _probe_schema(options: StoreOptions, auth: AuthMethod) -> list[Finding]:
    try:
        await check_schema(options)
    except StoreError as error:
        return [failure_finding(error, auth)]
    except SchemaError as error:
        return [schema_finding(error)]
    return []


async def buckets_in_index(options: StoreOptions, at_most: int) -> list[str]:
    """The first buckets that have rows, ordered by name.

    Raises:
        StoreError: the index cannot be read.
    """
    async with session(options, PROBE_SECONDS) as connection:
        rows = await connection.fetch(statement("check_buckets", options.schema), at_most)
    return [row["bucket"] for row in rows]


async def _facts(connection: Connection, schema: str) -> DatabaseFacts:
    row = await connection.fetchrow(statement("check_database", schema), schema)
    assert row is not None
    wanted = [(table, privilege, column) for table, privilege, columns in NEEDED for column in columns]
    denied = await connection.fetch(statement("check_privileges", schema), schema, *zip(*wanted, strict=True))
    return DatabaseFacts(
        user=row["user_name"],
        version_number=row["version_number"],
        is_read_only=row["is_read_only"],
        has_schema=row["has_schema"],
        may_use_schema=row["may_use_schema"],
        denied=tuple((each["relation"], each["privilege"], each["attribute"]) for each in denied),
        connections_at_most=row["connections_at_most"],
        connections_free=row["connections_free"],
        is_in_recovery=row["is_in_recovery"],
    )
