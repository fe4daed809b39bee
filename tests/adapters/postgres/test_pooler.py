"""PgBouncer with transaction pooling: everything works, and writes are equally durable and bounded in time.

Without Debian's package of PgBouncer these tests are skipped. Two sessions serve many connections, so that consecutive
transactions of one connection use sessions that others used in between.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import asyncpg
import msgspec
import pytest

from subscriber.adapters.load.connection import LoadConnection
from subscriber.adapters.postgres.connection import StoreOptions, connect, session_settings
from subscriber.adapters.postgres.jobs import Jobs
from subscriber.adapters.postgres.migrations import check_schema, migrate
from subscriber.adapters.postgres.pooler import local_settings, unit_of_work
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import StoreError, Treatment
from subscriber.jobs import PageDone
from subscriber.model import Rejection
from subscriber.query import reader as search_reader
from subscriber.query.search_query import Query
from testkit.postgres.pgbouncer import pgbouncer, pgbouncer_program
from tests.adapters.postgres.object_rows import row
from tests.fakes.samples import message
from tests.reconcile.walks import new_job

pytestmark = pytest.mark.skipif(
    pgbouncer_program() is None, reason="PgBouncer is not installed (apt-get install pgbouncer)"
)

WRITERS = 6


@pytest.fixture(scope="module")
def pooled_url(postgres_url: str) -> Iterator[str]:
    """The shared server behind a pooler with two sessions."""
    with pgbouncer(postgres_url, sessions=2) as pooler:
        yield pooler.url


@pytest.fixture
def pooled(store_options: StoreOptions, pooled_url: str) -> StoreOptions:
    """The options of the test's schema through the pooler."""
    return msgspec.structs.replace(store_options, url=pooled_url, pooler="transaction", connections_max=WRITERS)


async def test_migrating_and_checking_through_the_pooler(pooled: StoreOptions) -> None:
    """Migrations with their lock, and the check of the schema, need no session of their own."""
    applied = await asyncio.gather(*(migrate(pooled) for _ in range(3)))
    assert sorted(map(len, applied))[:2] == [0, 0]
    await check_schema(pooled)


async def test_an_undeclared_pooler_is_reported(pooled: StoreOptions) -> None:
    """The pooler rejects our startup parameters; the failure says that a setting must declare it."""
    store = PostgresStore(msgspec.structs.replace(pooled, pooler="none"))
    with pytest.raises(StoreError) as caught:
        await store.ping()
    await store.close()
    assert (caught.value.treatment, caught.value.word) == (Treatment.STOP, "pooler")


@pytest.mark.parametrize(
    ("login", "database", "treatment", "word"),
    [
        ("postgres:wrong", "postgres", Treatment.CREDENTIALS, "credentials"),
        ("nobody:wrong", "postgres", Treatment.CREDENTIALS, "credentials"),
        (None, "nowhere", Treatment.STOP, "no_database"),
    ],
)
async def test_a_wrong_login(
    pooled: StoreOptions, login: str | None, database: str, treatment: Treatment, word: str
) -> None:
    """Through the pooler as without it: the start ends, and another login of a rotation would be tried."""
    found = re.fullmatch("postgresql://([^@]+)@(.+)/[^/]+", pooled.url)
    assert found is not None
    url = f"postgresql://{login or found[1]}@{found[2]}/{database}"
    with pytest.raises(StoreError) as caught:
        await connect(msgspec.structs.replace(pooled, url=url), None)
    assert (caught.value.treatment, caught.value.word) == (treatment, word)
    assert caught.value.treatment.is_final_at_start


async def test_a_pooler_in_statement_mode(pooled: StoreOptions, postgres_url: str) -> None:
    """It rejects every transaction: the failure says which mode is needed, and the start ends."""
    with pgbouncer(postgres_url, sessions=2, mode="statement") as pooler:
        store = PostgresStore(msgspec.structs.replace(pooled, url=pooler.url))
        with pytest.raises(StoreError) as caught:
            await store.open()
        await store.close()
    assert (caught.value.treatment, caught.value.word) == (Treatment.STOP, "pooler_mode")


async def test_many_writers_share_few_sessions(pooled: StoreOptions) -> None:
    """Six connections write a hundred batches and quarantine messages over two sessions; all rows are stored."""
    await migrate(pooled)
    store = PostgresStore(pooled)

    async def write(writer: int) -> int:
        stored = 0
        for number in range(17):
            stored += await store.store([row(key=f"{writer}/{number}/{part}") for part in range(5)])
            await store.quarantine([(message(f"{writer}-{number}"), Rejection("not_json", "x"))])
            await store.ping()
        return stored

    try:
        assert sum(await asyncio.gather(*map(write, range(WRITERS)))) == WRITERS * 17 * 5
    finally:
        await store.close()
    connection = await asyncpg.connect(pooled.url, timeout=10, statement_cache_size=0)
    schema = pooled.schema.replace('"', '""')
    assert await connection.fetchval(f'SELECT count(*) FROM "{schema}".object_versions') == WRITERS * 17 * 5
    assert await connection.fetchval(f'SELECT count(*) FROM "{schema}".quarantined_messages') == WRITERS * 17
    await connection.close()


async def test_limits_and_rehearsals_end_with_their_transaction(pooled: StoreOptions) -> None:
    """A limited statement and a row that is rolled back leave nothing in a session that others use next."""
    await migrate(pooled)
    store = PostgresStore(pooled)
    try:
        for number in range(10):
            await store.rehearse(row(key=f"rehearsed/{number}"))
            await store.store([row(key=f"stored/{number}")], 0.5)
            async with store._connection() as connection:
                assert await connection.fetchval("SHOW statement_timeout") not in {"1s", "500ms"}
    finally:
        await store.close()
    connection = await asyncpg.connect(pooled.url, timeout=10, statement_cache_size=0)
    schema = pooled.schema.replace('"', '""')
    assert await connection.fetchval(f'SELECT count(*) FROM "{schema}".object_versions') == 10
    await connection.close()


async def test_session_settings_apply_to_each_transaction(pooled: StoreOptions) -> None:
    """Durability, isolation and timeout apply inside a unit of work, and do not remain in the session."""
    options = msgspec.structs.replace(pooled, write_timeout_seconds=7.0)
    settings = session_settings(options)
    connection = await connect(options, None)
    try:
        async with unit_of_work(connection, settings, "transaction"):
            inside = {name: await connection.fetchval(f"SELECT current_setting('{name}')") for name in settings}
        assert inside["statement_timeout"] == "6300ms"
        assert inside["synchronous_commit"] == "on"
        assert inside["default_transaction_isolation"] == "read committed"
        assert inside["jit"] == "off"
        assert inside["timezone"] == "UTC"
        assert await connection.fetchval("SHOW statement_timeout") == "0"
    finally:
        await connection.close()


async def test_a_rejected_row_leaves_a_usable_connection(pooled: StoreOptions) -> None:
    """A bad value fails as without a pooler, and the connection writes the next row."""
    await migrate(pooled)
    store = PostgresStore(msgspec.structs.replace(pooled, connections_max=1))
    try:
        with pytest.raises(StoreError) as caught:
            await store.store([row(key="nul\0")])
        assert caught.value.treatment is Treatment.BISECT
        before = list(store._idle)
        assert await store.store([row(key="good")]) == 1
        assert store._idle == before != []
    finally:
        await store.close()


async def test_a_stuck_write_times_out(
    pooled: StoreOptions, database: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server cancels a stuck statement, also behind a pooler, and the store goes on."""
    await migrate(pooled)
    monkeypatch.setattr("subscriber.adapters.postgres.connection._server_timeout_seconds", lambda _: 0.5)
    store = PostgresStore(pooled)
    try:
        async with database.transaction():
            await database.execute("LOCK TABLE object_versions")
            with pytest.raises(StoreError) as caught:
                await store.store([row()])
        assert caught.value.sqlstate == "57014"
        assert await store.store([row()]) == 1
    finally:
        await store.close()


async def test_the_sensor_reads_through_the_pooler(pooled: StoreOptions) -> None:
    """The statistics of the server can be read repeatedly."""
    connection = LoadConnection(pooled)
    try:
        assert [await connection.value("load_may_see_all") for _ in range(5)] == [True] * 5
    finally:
        await connection.close()


def test_local_settings_are_one_text() -> None:
    """Settings that the pooler tracks are left out; the others are set for one transaction."""
    text = local_settings({"timezone": "UTC", "jit": "off", "application_name": "x", "statement_timeout": "5"})
    assert text == "SET LOCAL jit = 'off'; SET LOCAL statement_timeout = '5'"


async def test_workers_share_a_job_through_the_pooler(pooled: StoreOptions) -> None:
    """Claims and pages of several workers at once, whatever session each of them gets."""
    await migrate(pooled)
    workers = [Jobs(pooled) for _ in range(WRITERS)]
    job_id = await workers[0].create(new_job(600, WRITERS))
    claims = await asyncio.gather(*(each.claim(job_id, "w", 60.0) for each in workers))
    held = [claim.held for claim in claims if claim]
    assert sorted(each.number for each in held) == [*range(1, WRITERS + 1)]
    pairs = [*zip(workers, held, strict=True)]
    pages = (worker.progress(each, PageDone(f"{each.keys.after}x", 1), 60.0) for worker, each in pairs)
    assert all(await asyncio.gather(*pages))
    assert all(await asyncio.gather(*(worker.leave(each, "succeeded") for worker, each in pairs)))
    assert (await workers[0].get(job_id)).ranges.succeeded == WRITERS
    for worker in workers:
        await worker.close()


async def test_searching_through_the_pooler(pooled: StoreOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages, look-ups, explanations and a stream by a cursor need no session of their own."""
    monkeypatch.setattr(search_reader, "PAGE_ROWS", 10)
    await migrate(pooled)
    store = PostgresStore(pooled)
    await store.store([row(key=f"a/{number:03}", size_bytes=number) for number in range(25)])
    await store.close()
    async with search_reader.opened_search(pooled) as search:
        query = Query(bucket="bucket", prefix="a/")
        page = await search.page(query, 20)
        assert [each.key for each in page.rows] == [f"a/{number:03}" for number in range(20)]
        assert len((await search.page(query, 20, page.token)).rows) == 5
        by_size = Query(bucket="bucket", order="size")
        batches = [[each.size_bytes for each in batch] async for batch in search.batches(by_size)]
        assert sum(batches, []) == [*range(24, -1, -1)]  # noqa: RUF017 - three short lists
        assert [each.exists for each in await search.look_up("bucket", ["a/001", "b"])] == [True, False]
        assert await search.explain(query)
