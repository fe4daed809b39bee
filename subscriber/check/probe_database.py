"""Checks with the daemon's own connection that the database answers, grants the privileges and has the schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from subscriber.adapters.postgres.bucket_jobs import BucketJobsTable
from subscriber.adapters.postgres.connection import Connection, StoreOptions
from subscriber.adapters.postgres.migrations import require_schema
from subscriber.adapters.postgres.rehearsal import rehearse_writes
from subscriber.adapters.postgres.session import session
from subscriber.adapters.postgres.statements import statement
from subscriber.check.rules.database import (
    NEEDED,
    NEEDED_FOR_NOTES,
    DatabaseFacts,
    can_read_ledger,
    database_findings,
    durability_findings,
    failure_finding,
    rehearsal_finding,
    schema_finding,
    unnoted_findings,
)
from subscriber.check.rules.finding import Finding
from subscriber.choices import AuthMethod
from subscriber.errors import SchemaError, StoreError
from subscriber.jobs import BucketJobs
from subscriber.pipeline.comparison import comparison_row

PROBE_SECONDS = 10.0
Needed: TypeAlias = Sequence[tuple[str, str, Sequence[str]]]
"""Table, privilege and columns."""


async def probe_database(options: StoreOptions, auth: AuthMethod) -> list[Finding]:
    """Check the database; an empty list means that the daemon can start.

    Raises:
        ConfigurationError: the CA file or the URL cannot be used.
    """
    try:
        return await database_problems(options, PROBE_SECONDS)
    except StoreError as error:
        return [failure_finding(error, auth)]


async def database_problems(options: StoreOptions, timeout_seconds: float) -> list[Finding]:
    """Check rights, version, connections and schema, and try the daemon's writes.

    Args:
        options: how to connect.
        timeout_seconds: for one login and the queries behind it.

    Raises:
        ConfigurationError: the CA file or the URL cannot be used.
        StoreError: a login or a query failed; a write that fails is a finding.
    """
    async with session(options, timeout_seconds) as connection:
        facts = await _facts(connection, options.schema)
        connections = options.connections_max + options.connections_beside
        found = list(database_findings(options.schema, facts, connections))
        if can_read_ledger(facts):
            found += await _probe_schema(connection, options.schema)
        if not any(finding.severity == "error" for finding in found):
            found += await _try_writes(connection, options.schema, facts.user)
    return found


async def _probe_schema(connection: Connection, schema: str) -> list[Finding]:
    try:
        await require_schema(connection, schema)
    except SchemaError as error:
        return [schema_finding(error)]
    return []


async def _try_writes(connection: Connection, schema: str, user: str) -> list[Finding]:
    """Rows as similar to real ones as possible: a bucket of the index, under a key of our own."""
    buckets = await connection.fetch(statement("check_buckets", schema), 1)
    row = comparison_row(None)
    older = msgspec.structs.replace(row, bucket=buckets[0]["bucket"] if buckets else row.bucket, sequencer="1")
    try:
        await rehearse_writes(connection, schema, older, msgspec.structs.replace(older, sequencer="2"))
    except StoreError as error:
        return [rehearsal_finding(error, schema, user)]
    return []


async def durability_problems(options: StoreOptions) -> list[Finding]:
    """Warn where the server itself gives up durability, which no session can ask for.

    Raises:
        StoreError: a login or a query failed.
    """
    async with session(options, PROBE_SECONDS) as connection:
        row = await connection.fetchrow(statement("check_durability", options.schema))
    assert row is not None
    return list(durability_findings(row["settings_off"]))


async def note_problems(options: StoreOptions) -> list[Finding]:
    """Warn where the daemon could not note what it stores of each bucket.

    Raises:
        StoreError: a login or a query failed.
    """
    async with session(options, PROBE_SECONDS) as connection:
        return list(unnoted_findings(await _denied(connection, options.schema, NEEDED_FOR_NOTES)))


async def _denied(connection: Connection, schema: str, needed: Needed) -> tuple[tuple[str, str, str], ...]:
    """The privileges that the user lacks: table, privilege and column of each."""
    wanted = [(table, privilege, column) for table, privilege, columns in needed for column in columns]
    denied = await connection.fetch(statement("check_privileges", schema), schema, *zip(*wanted, strict=True))
    return tuple((each["relation"], each["privilege"], each["attribute"]) for each in denied)


async def buckets_in_index(options: StoreOptions, at_most: int) -> list[str]:
    """The first buckets that have rows, ordered by name.

    Raises:
        StoreError: the index cannot be read.
    """
    async with session(options, PROBE_SECONDS) as connection:
        rows = await connection.fetch(statement("check_buckets", options.schema), at_most)
    return [row["bucket"] for row in rows]


async def jobs_of_buckets(options: StoreOptions, buckets: Sequence[str]) -> list[BucketJobs]:
    """What the jobs say about each bucket.

    Raises:
        StoreError: the jobs cannot be read.
    """
    table = BucketJobsTable(options)
    try:
        return await table.of(buckets, "")
    finally:
        await table.close()


async def _facts(connection: Connection, schema: str) -> DatabaseFacts:
    row = await connection.fetchrow(statement("check_database", schema), schema)
    assert row is not None
    return DatabaseFacts(
        user=row["user_name"],
        version_number=row["version_number"],
        is_read_only=row["is_read_only"],
        has_schema=row["has_schema"],
        may_use_schema=row["may_use_schema"],
        denied=await _denied(connection, schema, NEEDED),
        connections_at_most=row["connections_at_most"],
        connections_free=row["connections_free"],
        is_in_recovery=row["is_in_recovery"],
    )
