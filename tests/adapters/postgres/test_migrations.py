"""The schema: made once however many make it, checked before anything is written to it."""

from __future__ import annotations

import asyncio
import re
import uuid
from typing import Any, TypeAlias

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import check_schema, migrate
from subscriber.adapters.postgres.statements import migrations, quoted, statement
from subscriber.errors import ConfigurationError, ExitCode, SchemaError, StoreError, Treatment

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

ALL = ["1_001_object_versions", "1_002_objects", "1_003_quarantined_messages", "1_004_replayed_by"]


async def test_migrate_applies_what_is_missing_once(store_options: StoreOptions) -> None:
    """The first run applies everything in order, the second nothing, and the check then passes."""
    assert await migrate(store_options) == ALL
    assert await migrate(store_options) == []
    await check_schema(store_options)


async def test_four_tasks_that_migrate_at_once_migrate_once(store_options: StoreOptions) -> None:
    """Of four tasks that start together one applies everything and the others find it done."""
    applied = await asyncio.gather(*(migrate(store_options) for _ in range(4)))
    assert sorted(applied) == [[], [], [], ALL]
    await check_schema(store_options)


async def test_an_older_schema_gets_the_rest(store_options: StoreOptions, database: Database) -> None:
    """Where the last migrations are missing the check names them and the command, and migrate adds only them."""
    await migrate(store_options)
    await database.execute("DROP TABLE quarantined_messages; DELETE FROM schema_migrations WHERE number >= 3")
    with pytest.raises(SchemaError, match=r"lacks 1_003_\w+, 1_004_replayed_by\. Run: subscriber migrate") as caught:
        await check_schema(store_options)
    assert caught.value.exit_code is ExitCode.SCHEMA
    assert await migrate(store_options) == ALL[2:]
    await check_schema(store_options)


async def test_a_failing_migration_leaves_nothing(store_options: StoreOptions, database: Database) -> None:
    """Either all missing migrations are applied or none: a conflict in the last one takes back the first."""
    await database.execute(f"CREATE SCHEMA {quoted(store_options.schema)}")
    await database.execute("CREATE TABLE quarantined_messages (other integer)")
    with pytest.raises(StoreError) as caught:
        await migrate(store_options)
    assert caught.value.treatment is Treatment.STOP
    assert caught.value.sqlstate == "42P07"
    assert await database.fetchval("SELECT to_regclass('object_versions')::text") is None


async def test_a_missing_schema_is_told_with_the_command(store_options: StoreOptions) -> None:
    """On a database that was never migrated the check says what to type."""
    with pytest.raises(SchemaError, match=r"has no tables of ours\. Run: subscriber migrate"):
        await check_schema(store_options)


async def test_a_newer_schema_of_the_same_major_passes(migrated: StoreOptions, database: Database) -> None:
    """A release that was taken back runs on the newer schema, because steps within a major only add."""
    await database.execute("INSERT INTO schema_migrations VALUES (1, 999, '1_999_future')")
    await check_schema(migrated)
    assert await migrate(migrated) == []


async def test_a_later_major_is_refused(migrated: StoreOptions, database: Database) -> None:
    """A schema of a later major is touched by neither check nor migrate, and the text says why."""
    await database.execute("INSERT INTO schema_migrations VALUES (2, 1, '2_001_future')")
    for act in (check_schema, migrate):
        with pytest.raises(SchemaError, match="of major 2, and this release knows majors up to 1"):
            await act(migrated)


async def test_all_text_is_compared_byte_by_byte(migrated: StoreOptions, database: Database) -> None:
    """Every text column, the view's included, has the collation "C"."""
    found = await database.fetch(
        """SELECT relname, attname, collname FROM pg_attribute
           JOIN pg_class ON pg_class.oid = attrelid JOIN pg_collation ON pg_collation.oid = attcollation
           WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'v') AND attnum > 0""",
        quoted(migrated.schema),
    )
    assert len(found) > 15
    assert {record["collname"] for record in found} == {"C"}


async def test_pages_keep_room_for_updates(migrated: StoreOptions, database: Database) -> None:
    """The index table leaves a tenth of each page free, and nothing but its key is indexed."""
    table = "object_versions"
    options = await database.fetchval("SELECT reloptions FROM pg_class WHERE oid = $1::text::regclass", table)
    assert options == ["fillfactor=90"]
    indexes = await database.fetch(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = $1::text::regclass", table
    )
    assert [record[0] for record in indexes] == ["object_versions_pkey"]


@pytest.mark.parametrize("column", ["bucket", "key", "version_id", "state", "sequencer", "event_name", "event_time"])
async def test_what_identity_and_order_need_cannot_be_null(
    migrated: StoreOptions, database: Database, column: str
) -> None:
    """A NULL in the key or in the order of events is refused by the table itself."""
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
    """An operator may make the schema and give it to a role that has no right to make schemas."""
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


async def test_a_database_of_another_encoding_is_refused(store_options: StoreOptions, database: Database) -> None:
    """A database that cannot hold every key is refused as a whole, before it refuses messages one by one."""
    name = f"latin_{uuid.uuid4().hex[:12]}"
    await database.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        elsewhere = msgspec.structs.replace(store_options, url=f"{store_options.url.rpartition('/')[0]}/{name}")
        for act in (migrate, check_schema):
            with pytest.raises(SchemaError, match="encoding LATIN1; create one with ENCODING 'UTF8'"):
                await act(elsewhere)
    finally:
        await database.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_migrations_are_numbered_without_gaps() -> None:
    """Files are named major_number_name.sql, numbers run from one, and each begins with its purpose."""
    found = migrations("any")
    assert [step.name for step in found] == ALL
    assert [(step.major, step.number) for step in found] == [(1, n + 1) for n in range(len(found))]
    assert all(step.sql.startswith("-- ") for step in found)


@pytest.mark.parametrize("name", ["upsert", "quarantine"])
def test_a_statement_names_its_schema_quoted(name: str) -> None:
    """Whatever the schema is called, it cannot end its quotes."""
    text = statement(name, 'odd"; DROP TABLE x; --')
    assert '"odd""; DROP TABLE x; --"."' not in text
    assert '"odd""; DROP TABLE x; --".' in text
    assert ":" not in text.replace("::", "").split("\n\n", 1)[1]


@pytest.mark.parametrize("name", ["", "x" * 64, "ü" * 32, "nul\0"])
def test_a_schema_name_that_cannot_be_kept_is_refused(name: str) -> None:
    """PostgreSQL would cut the name silently, or choke on it: we say so before."""
    with pytest.raises(ConfigurationError, match="1 to 63 bytes"):
        StoreOptions(url="postgresql://localhost/", schema=name)
