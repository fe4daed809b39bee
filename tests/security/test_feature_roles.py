"""Least privilege in the database: features write as the daemon's role, and readers ask what they keep."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest

from subscriber.adapters.postgres.enrichment import Enrichment
from subscriber.adapters.postgres.features import Features
from subscriber.adapters.postgres.history import HistoryDays
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.adapters.postgres.usage import UsageFold, count_anew
from subscriber.errors import StoreError
from tests.adapters.postgres.object_rows import row
from tests.security.sql_roles import Roles, granted_roles, options_of, revoked, run


@pytest.fixture
async def roles(postgres_url: str, plain_schema: str) -> AsyncIterator[Roles]:
    """The roles, with the owner's tables and the grants."""
    async with granted_roles(postgres_url, plain_schema) as roles:
        yield roles


async def _store_rows(roles: Roles) -> None:
    """Two changes of one object."""
    store = PostgresStore(options_of(roles, roles.writer_url))
    try:
        for sequencer in ("1", "2"):
            await store.store([row(sequencer=sequencer)])
    finally:
        await store.close()


async def test_counters_of_usage_are_written_and_folded_as_the_writer(roles: Roles) -> None:
    """The triggers need no grant; a fold does, and says so."""
    owner, writer = options_of(roles, roles.owner_url), options_of(roles, roles.writer_url)
    await Features(owner).enable("usage", {"depth": 2})
    assert await count_anew(owner) == []
    store = PostgresStore(writer)
    try:
        await store.store([row()])
        fold = UsageFold(store.noting, roles.schema)
        assert await fold.fold(10) == (1, 0)
        await run(roles.owner_url, f'REVOKE ALL ON FUNCTION "{roles.schema}".fold_usage(integer) FROM "{roles.writer}"')
        with pytest.raises(StoreError, match=r"run config/sql/grants\.sql again.*permission denied"):
            await fold.fold(10)
        with pytest.raises(StoreError, match="run this as that role"):
            await count_anew(writer)
        with pytest.raises(StoreError, match="run this as that role"):
            await Features(writer).disable("usage")
    finally:
        await store.close()


async def test_metadata_is_asked_for_as_the_writer(roles: Roles, postgres_url: str) -> None:
    """Triggers need no grant, the worker's statements and those of `subscriber enrich` do; readers read the results."""
    await Features(options_of(roles, roles.owner_url)).enable("enrichment", {})
    await _store_rows(roles)
    await _run_all_enrichment_statements(roles)
    script = re.sub(r"^--.*$", "", roles.script("grants.sql"), flags=re.MULTILINE)
    tables = ("enrichment_queue", "object_metadata", "enrichment_requests")
    grants = [
        each.strip() for each in script.split(";") if f'"{roles.writer}"' in each and any(t in each for t in tables)
    ]
    assert len(grants) == len(tables)
    for grant in grants:
        await run(roles.owner_url, revoked(roles, grant))
        with pytest.raises(StoreError, match=r"run config/sql/grants\.sql again.*permission denied"):
            await _run_all_enrichment_statements(roles)
        await run(roles.owner_url, grant)
    connection = await asyncpg.connect(postgres_url, server_settings={"search_path": roles.schema}, timeout=10)
    try:
        await connection.execute(f"SET ROLE {roles.reader}")
        assert await connection.fetchval("SELECT count(*) FROM object_metadata") == 1
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("SELECT FROM enrichment_queue")
    finally:
        await connection.close()


async def _run_all_enrichment_statements(roles: Roles) -> None:
    """All statements of a worker and of `subscriber enrich`; raises StoreError."""
    queue = Enrichment(options_of(roles, roles.writer_url))
    try:
        for act in ("fail", "remove", "store"):
            await queue.queue_range("bucket", ("", "\U0010ffff"), again=True)
            await queue.retry()
            (version,) = await queue.claim(1, 0.0)  # an interrupted try leaves no lease
            if act == "fail":
                await queue.fail(version, "SlowDown", None)
            elif act == "remove":
                await queue.remove(version)
            else:
                assert await queue.store(version, {"tags": {}}, row().etag or "")
        await queue.spend(2)
        await queue.status(1)
    finally:
        await queue.close()


async def test_readers_ask_for_usage(roles: Roles, postgres_url: str) -> None:
    """They may call what adds the counters up, and see which features are on."""
    owner = options_of(roles, roles.owner_url)
    await Features(owner).enable("usage", {"depth": 2})
    await _store_rows(roles)
    await count_anew(owner)
    connection = await asyncpg.connect(postgres_url, server_settings={"search_path": roles.schema}, timeout=10)
    try:
        await connection.execute(f"SET ROLE {roles.reader}")
        assert await connection.fetchval("SELECT sum(objects) FROM usage_of('bucket')") == 1
        assert await connection.fetchval("SELECT count(*) FROM features") == 1
        for table in ("usage_totals", "usage_deltas", "usage_touched", "usage_adjustments"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"SELECT FROM {table}")
    finally:
        await connection.close()


async def test_the_history_is_written_and_tended_as_the_writer(roles: Roles) -> None:
    """The triggers need no grant; making partitions does, and says so."""
    await Features(options_of(roles, roles.owner_url)).enable("history", {"keep_days": 1})
    await run(roles.owner_url, f'DROP TABLE "{roles.schema}".object_history_{datetime.now(UTC):%Y%m%d}')
    store = PostgresStore(options_of(roles, roles.writer_url))
    try:
        days = HistoryDays(store.noting, roles.schema)
        assert (await days.tend()).made == 1
        await store.store([row()])
        await run(
            roles.owner_url, f'REVOKE ALL ON FUNCTION "{roles.schema}".tend_history(integer) FROM "{roles.writer}"'
        )
        with pytest.raises(StoreError, match=r"run config/sql/grants\.sql again.*permission denied"):
            await days.tend()
    finally:
        await store.close()


async def test_readers_ask_the_history(roles: Roles, postgres_url: str) -> None:
    """They may read changes and old states, and change nothing."""
    await Features(options_of(roles, roles.owner_url)).enable("history", {"keep_days": 1})
    await _store_rows(roles)
    connection = await asyncpg.connect(postgres_url, server_settings={"search_path": roles.schema}, timeout=10)
    try:
        await connection.execute(f"SET ROLE {roles.reader}")
        since = await connection.fetchval("SELECT ready_at FROM features")
        assert await connection.fetchval("SELECT count(*) FROM object_history") == 2
        assert await connection.fetch("SELECT * FROM versions_at('bucket', '', $1)", since) == []
        assert len(await connection.fetch("SELECT * FROM objects_changed('bucket', '', $1, now())", since)) == 1
        for text in ("DELETE FROM object_history", "SELECT tend_history(1)"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(text)
    finally:
        await connection.close()
