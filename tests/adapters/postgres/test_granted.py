"""A session has the settings that its login asked for, or it is not used."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres.connection import StoreOptions, connect, session_settings
from subscriber.adapters.postgres.failures import WeakerSessionError
from subscriber.adapters.postgres.granted import COMPARED, require_granted, weaker_settings
from subscriber.adapters.postgres.migrations import migrate
from subscriber.adapters.postgres.pooler import unit_of_work
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.check.probe_database import probe_database
from subscriber.errors import ExitCode, StoreError, Treatment
from testkit.postgres.pgbouncer import pgbouncer, pgbouncer_program
from tests.adapters.postgres.object_rows import row

WEAK = {"synchronous_commit": "off", "default_transaction_isolation": "serializable", "statement_timeout": "0"}
DROPPED = "jit,synchronous_commit,statement_timeout,default_transaction_isolation"

needs_pgbouncer = pytest.mark.skipif(
    pgbouncer_program() is None, reason="PgBouncer is not installed (apt-get install pgbouncer)"
)


@pytest.mark.parametrize(
    ("granted", "weaker"),
    [
        ({}, []),
        ({"synchronous_commit": "remote_apply"}, []),
        ({"synchronous_commit": "remote_write"}, ["synchronous_commit"]),
        ({"synchronous_commit": "local"}, ["synchronous_commit"]),
        ({"synchronous_commit": "off"}, ["synchronous_commit"]),
        ({"default_transaction_isolation": "repeatable read"}, ["default_transaction_isolation"]),
        ({"statement_timeout": "8999"}, []),
        ({"statement_timeout": "9001"}, ["statement_timeout"]),
        ({"statement_timeout": "0"}, ["statement_timeout"]),
        (WEAK, list(COMPARED)),
    ],
)
def test_what_is_weaker(granted: dict[str, str], weaker: list[str]) -> None:
    """A setting that promises more than was asked is no reason to reject a session."""
    asked = session_settings(StoreOptions(url="", write_timeout_seconds=10.0))
    assert list(weaker_settings(asked, asked | granted)) == weaker


@pytest.fixture
async def own(postgres_url: str, store_options: StoreOptions) -> AsyncIterator[StoreOptions]:
    """Options for a migrated database and a role of this test, which nothing else uses."""
    name = f"granted_{uuid.uuid4().hex[:12]}"
    admin = await asyncpg.connect(postgres_url, timeout=10)
    await admin.execute(f"CREATE ROLE {name} LOGIN SUPERUSER PASSWORD 'secret'")
    await admin.execute(f"CREATE DATABASE {name} OWNER {name}")
    address = postgres_url.rpartition("@")[2].rpartition("/")[0]
    options = msgspec.structs.replace(store_options, url=f"postgresql://{name}:secret@{address}/{name}")
    await migrate(options)
    yield options
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.execute(f"DROP ROLE {name}")
    await admin.close()


async def _weaken(options: StoreOptions, what: str) -> None:
    """Set the defaults of the database or the role."""
    connection = await asyncpg.connect(options.url, timeout=10)
    name = options.url.rpartition("/")[2]
    for setting, value in WEAK.items():
        await connection.execute(f"ALTER {what} {name} SET {setting} = '{value}'")
    await connection.close()


async def _granted(options: StoreOptions) -> dict[str, str]:
    connection = await connect(options, None)
    try:
        rows = await connection.fetch("SELECT name, setting FROM pg_settings WHERE name = ANY($1)", COMPARED)
        return {found["name"]: found["setting"] for found in rows}
    finally:
        await connection.close()


@pytest.mark.parametrize("what", ["ROLE", "DATABASE"])
@pytest.mark.parametrize("parameters", ["", "?options=-csynchronous_commit%3Doff"])
async def test_the_login_overrides_weak_defaults(own: StoreOptions, what: str, parameters: str) -> None:
    """ALTER ROLE, ALTER DATABASE and the options of the URL do not weaken a session."""
    await _weaken(own, what)
    options = msgspec.structs.replace(own, url=own.url + parameters)
    asked = session_settings(options)
    assert await _granted(options) == {name: asked[name] for name in COMPARED}
    assert await probe_database(options, "password") == []


LOGIN_TRIGGER = """
    CREATE FUNCTION public.weaken() RETURNS event_trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM set_config('{name}', '{value}', false); END $$;
    CREATE EVENT TRIGGER weaken ON login EXECUTE FUNCTION public.weaken()"""


@pytest.mark.parametrize(("name", "asked"), [("synchronous_commit", "on"), ("statement_timeout", "9000")])
async def test_a_login_trigger_that_weakens_sessions(own: StoreOptions, name: str, asked: str) -> None:
    """The daemon does not start, and the sentence names the setting, both values, where it was set, and the remedy."""
    admin = await asyncpg.connect(own.url, timeout=10)
    await admin.execute(LOGIN_TRIGGER.format(name=name, value=WEAK[name]))
    await admin.close()
    store = PostgresStore(own)
    with pytest.raises(StoreError) as caught:
        await store.open()
    await store.close()
    where = own.url.rpartition("@")[2].rpartition("/")[0]
    detail = f"{where}: {name} is {WEAK[name]} (source: session) instead of {asked}"
    assert (caught.value.treatment, caught.value.word, caught.value.detail) == (
        Treatment.STOP,
        "weaker_session",
        detail,
    )
    assert caught.value.exit_code is ExitCode.DATABASE
    assert caught.value.treatment.is_final_at_start
    (finding,) = await probe_database(own, "password")
    assert (finding.severity, finding.kind) == ("error", ExitCode.DATABASE)
    assert finding.sentence == (
        f"database: gives a session that is weaker than asked (weaker_session: {detail}); if a pooler or proxy drops "
        "what a login asks for, set SUBSCRIBER_DATABASE_POOLER=transaction; else find the login trigger or preloaded "
        "library that changes it"
    )


@needs_pgbouncer
@pytest.mark.parametrize("what", ["ROLE", "DATABASE"])
async def test_a_pooler_that_drops_what_a_login_asks_for(own: StoreOptions, what: str) -> None:
    """Undeclared it is rejected where the defaults are weak; declared, each transaction has what it asks for."""
    await _weaken(own, what)
    with pgbouncer(own.url, sessions=2, mode="session", ignored=DROPPED) as pooler:
        undeclared = msgspec.structs.replace(own, url=pooler.url)
        (finding,) = await probe_database(undeclared, "password")
        source = {"ROLE": "user", "DATABASE": "database"}[what]
        for setting, value in WEAK.items():
            asked = session_settings(undeclared)[setting] if setting != "statement_timeout" else "9000"
            assert f"{setting} is {value} (source: {source}) instead of {asked}" in finding.problem
        assert "set SUBSCRIBER_DATABASE_POOLER=transaction" in finding.remedy
        declared = msgspec.structs.replace(undeclared, pooler="transaction")
        assert await probe_database(declared, "password") == []
        store = PostgresStore(declared)
        await store.open()
        assert await store.store([row()]) == 1
        await store.close()


async def _compared_in_a_transaction(options: StoreOptions, **changed: str) -> None:
    """Set the settings with `changed` ones among them, and compare them with those asked for."""
    asked = session_settings(options)
    connection = await connect(options, None)
    try:
        async with unit_of_work(connection, asked | changed, "transaction"):
            await require_granted(connection, asked)
    finally:
        await connection.close()


@needs_pgbouncer
async def test_behind_a_pooler_the_transaction_is_compared(own: StoreOptions) -> None:
    """A proxy that passed on no SET LOCAL would be found by the first ping."""
    with pgbouncer(own.url, sessions=2) as pooler:
        options = msgspec.structs.replace(own, url=pooler.url, pooler="transaction")
        await _compared_in_a_transaction(options)
        with pytest.raises(WeakerSessionError, match="synchronous_commit is off"):
            await _compared_in_a_transaction(options, synchronous_commit="off")


async def test_a_granted_session_costs_one_round_trip(own: StoreOptions) -> None:
    """The comparison is one simple query: the server sees no other statement of a new session."""
    connection = await connect(own, None)
    watcher = await asyncpg.connect(own.url, timeout=10)
    last = await watcher.fetchval("SELECT query FROM pg_stat_activity WHERE pid = $1", connection.get_server_pid())
    assert last.startswith("SELECT WHERE current_setting('synchronous_commit') <> 'on'")
    await watcher.close()
    await connection.close()
