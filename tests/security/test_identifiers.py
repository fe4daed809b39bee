"""Names and values in SQL: a name is rejected or quoted, a value is a parameter; neither is executed."""

from __future__ import annotations

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.features import Features
from subscriber.adapters.postgres.migrations import check_schema, migrate
from subscriber.adapters.postgres.store import PostgresStore, opened_store
from subscriber.adapters.postgres.usage import UsageFold, count_anew
from subscriber.errors import ConfigurationError
from subscriber.features import CATALOG, options_of
from subscriber.model import Rejection
from tests.adapters.postgres.object_rows import message, row
from tests.settings.test_settings import read

HOSTILE = (
    'a"; DROP SCHEMA public CASCADE; --',
    "a'; DROP SCHEMA public CASCADE; --",
    "MixedCase",
    "with space",
    ':"schema"',
    "$1",
    "a.b",
    "ä/*",
)


@pytest.mark.parametrize("name", [*HOSTILE, "1st", "pg_mine", "a" * 64, "Ω"])
def test_settings_accept_only_plain_names(name: str) -> None:
    """A schema name that is not plain is a configuration error."""
    with pytest.raises(ConfigurationError, match="SUBSCRIBER_DATABASE_SCHEMA"):
        read(DATABASE_SCHEMA=name)


@pytest.mark.parametrize("name", HOSTILE)
async def test_the_adapter_quotes_any_name(postgres_url: str, name: str) -> None:
    """The adapter uses the name literally: the schema has that name, works, and nothing of it was executed."""
    options = StoreOptions(url=postgres_url, schema=name, tls="disable", write_timeout_seconds=10.0)
    connection = await asyncpg.connect(postgres_url, timeout=10)
    try:
        await migrate(options)
        await check_schema(options)
        store = PostgresStore(options)
        assert await store.store([row()]) == 1
        await store.quarantine([(message(), Rejection("not_json", "a test"))])
        await _switch_each_feature(options)
        await store.close()
        names = {each["nspname"] for each in await connection.fetch("SELECT nspname FROM pg_namespace")}
        assert {name, "public"} <= names
    finally:
        doubled = name.replace('"', '""')
        await connection.execute(f'DROP SCHEMA IF EXISTS "{doubled}" CASCADE')
        await connection.close()


async def _switch_each_feature(options: StoreOptions) -> None:
    """Each writes what it keeps in this schema."""
    features = Features(options)
    for name in CATALOG:
        assert await features.enable(name, options_of(name, {}))
    await count_anew(options)
    async with opened_store(options) as store:
        assert await store.store([row(key="another")]) == 1
        assert await UsageFold(store.noting, options.schema).fold(10) == (1, 0)
    for name in CATALOG:
        assert await features.disable(name)


async def test_values_are_parameters(store: PostgresStore, database: asyncpg.Connection[asyncpg.Record]) -> None:
    """Every text of a row and of a quarantined message is stored unmodified, even if it looks like SQL."""
    for number, text in enumerate(HOSTILE):
        event = row(bucket=text, key=text, version_id=text, event_name=text[:60], etag=text)
        await store.store([event])
        columns = ", ".join(event.__struct_fields__)
        (found,) = await database.fetch(f"SELECT {columns} FROM object_versions WHERE bucket = $1", text)
        assert tuple(found) == msgspec.structs.astuple(event)
        renamed = msgspec.structs.replace(message(f"m-{number}", body=text), queue=text)
        await store.quarantine([(renamed, Rejection(text, text))])
    quarantined = await database.fetch("SELECT queue, reason, detail, body FROM quarantined_messages")
    assert {tuple(each) for each in quarantined} == {(text, text, text, text.encode()) for text in HOSTILE}
