"""Optional indexes: built beside writers, interrupted, begun anew, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres import index_builds
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.index_builds import BuildProgress, IndexBuilds, IndexState, index_states
from subscriber.adapters.postgres.reader import Reader
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import ConfigurationError, StoreError
from subscriber.query.indexes import CATALOG, BuildState, build_state, relation_name
from tests.adapters.postgres.object_rows import row

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

NAME, DEFINITION = relation_name("size"), CATALOG["size"].definition


@pytest.fixture
async def other(store: PostgresStore, postgres_url: str, schema: str) -> AsyncIterator[Database]:
    """A session with an open transaction that has written, for which every build waits."""
    connection = await asyncpg.connect(postgres_url, timeout=10)
    await connection.execute("BEGIN")
    quoted = schema.replace('"', '""')
    await connection.execute(f'UPDATE "{quoted}".object_versions SET etag = etag')
    yield connection
    await connection.close()


async def state_of(options: StoreOptions, name: str = NAME) -> IndexState | None:
    """What the database's catalog has of an index."""
    reader = Reader(options, 10.0)
    try:
        return next((state for state in await index_states(reader, options.schema) if state.relation == name), None)
    finally:
        await reader.close()


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Wait for a condition; the test's own timeout is its bound."""
    while not await condition():  # noqa: ASYNC110 - the database sets no event of ours
        await asyncio.sleep(0.02)


async def is_begun(options: StoreOptions) -> bool:
    """Whether a build has made its entry in the catalog."""
    return await state_of(options) is not None


async def test_an_interrupted_build_is_begun_anew(migrated: StoreOptions, other: Database, database: Database) -> None:
    """The server stops building, the index that it leaves is unfinished, and the next run replaces it."""
    builds = IndexBuilds(migrated)
    building = asyncio.create_task(builds.create(NAME, DEFINITION, lambda _: None), name="build")
    await until(lambda: is_begun(migrated))
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    builders = "SELECT FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND state = 'active'"
    await until(lambda: database.fetchval(f"SELECT NOT EXISTS ({builders})"))
    left = await state_of(migrated)
    assert left is not None
    assert (left.is_valid, left.is_building) == (False, False)
    await other.execute("ROLLBACK")
    assert await builds.create(NAME, DEFINITION, lambda _: None) is True
    assert await builds.create(NAME, DEFINITION, lambda _: None) is False
    ready = await state_of(migrated)
    assert ready is not None
    assert ready.is_valid


async def test_writers_go_on_while_a_build_waits(
    migrated: StoreOptions, store: PostgresStore, other: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is stored meanwhile; the progress names the session that the build waits for."""
    monkeypatch.setattr(index_builds, "PROGRESS_SECONDS", 0.02)
    shown: list[BuildProgress] = []
    pid = await other.fetchval("SELECT pg_backend_pid()")
    async with asyncio.TaskGroup() as tasks:
        building = tasks.create_task(IndexBuilds(migrated).create(NAME, DEFINITION, shown.append), name="build")
        await until(lambda: is_begun(migrated))
        await store.store([row(key="meanwhile")])

        async def names_the_other() -> bool:
            return any(step.waits_for == pid for step in shown)

        await until(names_the_other)
        with pytest.raises(ConfigurationError, match="another session builds or drops an index"):
            await IndexBuilds(migrated).drop(NAME)
        await other.execute("ROLLBACK")
    assert building.result() is True


async def test_a_failed_build_is_one_error(migrated: StoreOptions) -> None:
    """The failure of the statement is raised as it is, and not in a group."""
    with pytest.raises(StoreError, match="42703"):
        await IndexBuilds(migrated).create(NAME, "(no_such_column)", lambda _: None)


async def test_a_missing_extension_is_a_sentence(migrated: StoreOptions) -> None:
    """It says who must do what."""
    with pytest.raises(ConfigurationError, match="let an administrator run CREATE EXTENSION pg_none first"):
        await IndexBuilds(migrated).create(NAME, DEFINITION, lambda _: None, extension="pg_none")


def test_a_pooler_cannot_build() -> None:
    """It has no session in which a statement runs outside a transaction."""
    with pytest.raises(ConfigurationError, match="a pooler in transaction mode cannot do"):
        IndexBuilds(StoreOptions(url="postgresql://host/lake", pooler="transaction"))


async def test_only_the_owner_builds(migrated: StoreOptions, database: Database) -> None:
    """Another role gets the sentence for it."""
    await database.execute("CREATE ROLE builder_of_nothing LOGIN PASSWORD 'x'")
    try:
        quoted = migrated.schema.replace('"', '""')
        await database.execute(f'GRANT USAGE ON SCHEMA "{quoted}" TO builder_of_nothing')
        url = migrated.url.replace(migrated.url.partition("@")[0], "postgresql://builder_of_nothing:x")
        with pytest.raises(StoreError, match="Only the owner of the tables can create"):
            await IndexBuilds(msgspec.structs.replace(migrated, url=url)).create(NAME, DEFINITION, lambda _: None)
    finally:
        await database.execute("DROP OWNED BY builder_of_nothing; DROP ROLE builder_of_nothing")


@pytest.mark.parametrize(
    ("exists", "is_valid", "is_building", "state"),
    [
        (False, False, False, "absent"),
        (True, True, False, "ready"),
        (True, False, False, "unfinished"),
        (True, False, True, "building"),
    ],
)
def test_the_state_of_an_index(exists: bool, is_valid: bool, is_building: bool, state: BuildState) -> None:
    """From what the catalog says."""
    assert build_state(exists=exists, is_valid=is_valid, is_building=is_building) == state
