"""Migrations: concurrent runs apply them once, and the schema is checked before the first write."""

from __future__ import annotations

import asyncio
import re
import uuid
from typing import Any, TypeAlias

import asyncpg
import msgspec
import pytest
import structlog

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import check_schema, migrate
from subscriber.adapters.postgres.statements import migrations, quoted, statement
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import ConfigurationError, ExitCode, SchemaError, StoreError, Treatment
from subscriber.model import Rejection
from tests.e2e.environment import until
from tests.fakes.samples import message

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

ALL = [
    "1_001_object_versions",
    "1_002_objects",
    "1_003_quarantined_messages",
    "1_004_replayed_by",
    "1_005_jobs",
    "1_006_search",
    "1_007_buckets",
    "1_008_cut",
    "1_009_object_columns",
    "1_010_features",
    "1_011_usage",
    "1_012_history",
    "1_013_enrichment",
]


async def test_migrate_applies_what_is_missing_once(store_options: StoreOptions) -> None:
    """The first run applies all migrations in order, the second none, and then the check passes."""
    assert await migrate(store_options) == ALL
    assert await migrate(store_options) == []
    await check_schema(store_options)


async def test_concurrent_runs_migrate_once(store_options: StoreOptions) -> None:
    """Of four concurrent runs one applies all migrations and the others find nothing to do."""
    applied = await asyncio.gather(*(migrate(store_options) for _ in range(4)))
    assert sorted(applied) == [[], [], [], ALL]
    await check_schema(store_options)


async def test_an_older_schema_gets_the_missing_migrations(
    store_options: StoreOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check names the missing migrations and the command, and `migrate` applies only these."""
    with monkeypatch.context() as older:
        older.setattr("subscriber.adapters.postgres.migrations.migrations", lambda schema: migrations(schema)[:2])
        assert await migrate(store_options) == ALL[:2]
    names = ", ".join(ALL[2:])
    with pytest.raises(SchemaError, match=rf"lacks {names}\. Run: subscriber migrate") as caught:
        await check_schema(store_options)
    assert caught.value.exit_code is ExitCode.SCHEMA
    assert await migrate(store_options) == ALL[2:]
    await check_schema(store_options)


async def test_a_failing_migration_rolls_back_all(store_options: StoreOptions, database: Database) -> None:
    """Either all missing migrations are applied or none: a conflict in the last one rolls back the first."""
    await database.execute(f"CREATE SCHEMA {quoted(store_options.schema)}")
    await database.execute("CREATE TABLE quarantined_messages (other integer)")
    with pytest.raises(StoreError) as caught:
        await migrate(store_options)
    assert caught.value.treatment is Treatment.STOP
    assert caught.value.sqlstate == "42P07"
    assert await database.fetchval("SELECT to_regclass('object_versions')::text") is None


async def test_a_missing_schema_is_reported_with_the_command(store_options: StoreOptions) -> None:
    """On a database without the schema the check names the command."""
    with pytest.raises(SchemaError, match=r"has no tables of this program\. Run: subscriber migrate"):
        await check_schema(store_options)


async def test_a_newer_schema_of_the_same_major_passes(migrated: StoreOptions, database: Database) -> None:
    """An older release runs on a newer schema, because migrations within a major only add."""
    await database.execute("INSERT INTO schema_migrations VALUES (1, 999, '1_999_future')")
    await check_schema(migrated)
    assert await migrate(migrated) == []


async def test_a_later_major_is_rejected(migrated: StoreOptions, database: Database) -> None:
    """Neither `check_schema` nor `migrate` accepts a later major, and the text says why."""
    await database.execute("INSERT INTO schema_migrations VALUES (2, 1, '2_001_future')")
    for act in (check_schema, migrate):
        with pytest.raises(SchemaError, match="has major version 2, and this release supports 1 at most"):
            await act(migrated)


async def test_all_text_is_compared_byte_by_byte(migrated: StoreOptions, database: Database) -> None:
    """Every text column, also of the view, has the collation "C"."""
    found = await database.fetch(
        """SELECT relname, attname, collname FROM pg_attribute
           JOIN pg_class ON pg_class.oid = attrelid JOIN pg_collation ON pg_collation.oid = attcollation
           WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'v') AND attnum > 0""",
        quoted(migrated.schema),
    )
    assert len(found) > 15
    assert {record["collname"] for record in found} == {"C"}


async def test_pages_have_free_space_for_updates(migrated: StoreOptions, database: Database) -> None:
    """The index table leaves a tenth of each page free, and only the key is indexed."""
    table = "object_versions"
    options = await database.fetchval("SELECT reloptions FROM pg_class WHERE oid = $1::text::regclass", table)
    assert options == ["fillfactor=90"]
    indexes = await database.fetch(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = $1::text::regclass", table
    )
    assert [record[0] for record in indexes] == ["object_versions_pkey"]


@pytest.mark.parametrize("column", ["bucket", "key", "version_id", "state", "sequencer", "event_name", "event_time"])
async def test_columns_of_key_and_order_are_not_null(migrated: StoreOptions, database: Database, column: str) -> None:
    """The table itself rejects a NULL in the key or in a column of the order of events."""
    values: dict[str, Any] = {
        "bucket": "'b'",
        "key": "'k'",
        "version_id": "''",
        "state": "'present'",
        "sequencer": "'A'",
        "event_name": "'e'",
        "event_time": "now()",
    } | {column: "NULL"}
    columns, literals = ", ".join(values), ", ".join(values.values())
    with pytest.raises(asyncpg.NotNullViolationError):
        await database.execute(f"INSERT INTO object_versions ({columns}) VALUES ({literals})")


async def test_a_role_that_may_not_create_schemas_can_still_migrate(
    store_options: StoreOptions, database: Database, postgres_url: str
) -> None:
    """An operator may create the schema for a role without the CREATE privilege on the database."""
    role = f"role_{uuid.uuid4().hex[:12]}"
    await database.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    try:
        await database.execute(f"CREATE SCHEMA {quoted(store_options.schema)} AUTHORIZATION {role}")
        url = re.sub("//[^@]+@", f"//{role}:secret@", postgres_url)
        restricted = msgspec.structs.replace(store_options, url=url)
        assert await migrate(restricted) == ALL
        await check_schema(restricted)
    finally:
        await database.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


async def test_another_encoding_is_rejected(store_options: StoreOptions, database: Database) -> None:
    """A database with another encoding is rejected at once, before it rejects single keys."""
    name = f"latin_{uuid.uuid4().hex[:12]}"
    await database.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        elsewhere = msgspec.structs.replace(store_options, url=f"{store_options.url.rpartition('/')[0]}/{name}")
        for act in (migrate, check_schema):
            with pytest.raises(SchemaError, match="encoding LATIN1; create one with ENCODING 'UTF8'"):
                await act(elsewhere)
    finally:
        await database.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def _with_one_step_missing(migrated: StoreOptions, database: Database) -> None:
    """As before an upgrade: the step needs ACCESS EXCLUSIVE on a table that a reader reads."""
    await database.execute("ALTER TABLE quarantined_messages DROP COLUMN replayed_by")
    await database.execute("DELETE FROM schema_migrations WHERE number = 4")
    await database.execute("BEGIN; SELECT count(*) FROM quarantined_messages")


async def test_a_reader_is_named_and_nobody_waits_behind_the_migration(
    migrated: StoreOptions, database: Database, store: PostgresStore
) -> None:
    """Writes go on beside a reader's open transaction; the error names the reader's session."""
    await database.execute("SET application_name = 'dashboard'")
    await _with_one_step_missing(migrated, database)
    migrating = asyncio.create_task(migrate(migrated, lock_tries_seconds=4.0), name="migrate")
    written = 0
    while not migrating.done():  # a write behind a migration that does not let go fails by its own timeout
        await store.quarantine([(message(f"m-{written}"), Rejection("not_json", "x"))])
        written += 1
    assert written > 1
    with pytest.raises(SchemaError) as caught:
        await migrating
    pid = await database.fetchval("SELECT pg_backend_pid()")
    assert caught.value.exit_code is ExitCode.SCHEMA
    assert re.search(
        rf"for 4 s other sessions held locks on its tables: pid {pid} \(application dashboard, user postgres, "
        r"last query started 20\d\d-[^)]* UTC\)[.,]",
        str(caught.value),
    )
    await database.execute("ROLLBACK")


async def test_a_migration_goes_on_when_the_reader_ends(migrated: StoreOptions, database: Database) -> None:
    """A lock that is held for a moment costs a try, not the migration."""
    await _with_one_step_missing(migrated, database)
    with structlog.testing.capture_logs() as lines:
        migrating = asyncio.create_task(migrate(migrated), name="migrate")
        await until(lambda: [line["event"] for line in lines] == ["schema.locked"])
        await database.execute("ROLLBACK")
        assert await migrating == ["1_004_replayed_by"]


async def test_a_migration_that_is_up_to_date_needs_no_lock(migrated: StoreOptions, database: Database) -> None:
    """A task that starts beside any reader or writer finds nothing to do."""
    await database.execute("BEGIN; LOCK TABLE object_versions, quarantined_messages")
    assert await migrate(migrated) == []
    await database.execute("ROLLBACK")


def test_migrations_are_numbered_without_gaps() -> None:
    """Files are named major_number_name.sql, numbers start at one, and each file starts with a comment."""
    found = migrations("any")
    assert [step.name for step in found] == ALL
    assert [(step.major, step.number) for step in found] == [(1, n + 1) for n in range(len(found))]
    assert all(step.sql.startswith("-- ") for step in found)


@pytest.mark.parametrize("name", ["upsert", "quarantine"])
def test_a_statement_names_its_schema_quoted(name: str) -> None:
    """A schema name cannot end the quotes around it."""
    text = statement(name, 'odd"; DROP TABLE x; --')
    assert '"odd""; DROP TABLE x; --"."' not in text
    assert '"odd""; DROP TABLE x; --".' in text
    assert ":" not in text.replace("::", "").split("\n\n", 1)[1]


@pytest.mark.parametrize("name", ["", "x" * 64, "ü" * 32, "nul\0"])
def test_an_impossible_schema_name_is_rejected(name: str) -> None:
    """PostgreSQL would silently truncate or reject the name; the options reject it first."""
    with pytest.raises(ConfigurationError, match="1 to 63 bytes"):
        StoreOptions(url="postgresql://localhost/", schema=name)
