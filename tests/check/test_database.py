"""Each mistake about the database made on purpose on a real server, and the sentence it leads to."""

from __future__ import annotations

import re
import socket
import uuid
from collections.abc import AsyncIterator
from typing import TypeAlias

import asyncpg
import msgspec
import pytest
import trustme

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.statements import quoted
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.check.probe_database import buckets_in_index, probe_database
from subscriber.check.rules.database import DatabaseFacts, database_findings, failure_finding
from subscriber.check.rules.finding import Finding
from subscriber.errors import ExitCode, StoreError, Treatment
from testkit.postgres.pgbouncer import pgbouncer, pgbouncer_program
from testkit.process import free_port
from tests.adapters.postgres.object_rows import row
from tests.adapters.postgres.tls_proxy import tls_front

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def only(options: StoreOptions, **changes: object) -> Finding:
    """The one thing that is wrong."""
    (finding,) = await probe_database(msgspec.structs.replace(options, **changes), "password")
    assert "\n" not in finding.sentence
    return finding


def elsewhere(options: StoreOptions, login: str | None = None, place: str | None = None) -> str:
    """The URL with another user and password, or at another place."""
    old_login, old_place = re.fullmatch(r"postgresql://([^@]+)@(.+)", options.url).groups()  # type: ignore[union-attr]  # it is one
    return f"postgresql://{login or old_login}@{place or old_place}"


async def test_a_good_database_has_no_findings(migrated: StoreOptions) -> None:
    """The server answers, the user may write, the schema fits."""
    assert await probe_database(migrated, "password") == []


@pytest.mark.parametrize(
    ("auth", "remedy"),
    [
        ("password", "correct user and password in SUBSCRIBER_DATABASE_URL"),
        ("iam", "GRANT rds_iam"),
        ("secret", "SUBSCRIBER_DATABASE_SECRET_ARN"),
    ],
)
async def test_a_wrong_password(migrated: StoreOptions, auth: str, remedy: str) -> None:
    """What to correct depends on where the password comes from; it is not shown."""
    options = msgspec.structs.replace(migrated, url=elsewhere(migrated, login="postgres:hush"))
    (finding,) = await probe_database(options, auth)  # type: ignore[arg-type]  # of three words
    assert (finding.severity, finding.kind) == ("error", ExitCode.DATABASE)
    assert "28P01" in finding.problem
    assert remedy in finding.remedy
    assert "hush" not in finding.sentence


async def test_a_server_without_tls(migrated: StoreOptions) -> None:
    """It refuses to encrypt, and is not told the password in the clear."""
    finding = await only(migrated, tls="verify-full")
    assert finding.problem.startswith("takes no TLS, and SUBSCRIBER_DATABASE_TLS asks for it")


async def test_a_certificate_that_proves_nothing(migrated: StoreOptions) -> None:
    """Signed by nobody we know: the setting that names the authority."""
    async with tls_front(migrated.url, trustme.CA()) as (port, _):
        finding = await only(migrated, url=elsewhere(migrated, place=f"localhost:{port}/postgres"), tls="verify-full")
    assert finding.problem.startswith("certificate: ")
    assert "SUBSCRIBER_DATABASE_CA_FILE" in finding.remedy


def test_a_server_that_takes_nobody_in_the_clear() -> None:
    """As RDS with rds.force_ssl: the setting that encrypts."""
    detail = 'no pg_hba.conf entry for host "10.0.0.1", user "u", database "d", no encryption'
    finding = failure_finding(StoreError(Treatment.CREDENTIALS, "credentials", "28000", detail), "password")
    assert finding.remedy == "set SUBSCRIBER_DATABASE_TLS=verify-full"


async def test_nobody_listens(migrated: StoreOptions) -> None:
    """A closed port: host, port, security group."""
    finding = await only(migrated, url=elsewhere(migrated, place=f"127.0.0.1:{free_port()}/postgres"))
    assert finding.problem.startswith("unreachable: ")
    assert "the security group" in finding.remedy


async def test_somebody_listens_and_says_nothing(migrated: StoreOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a firewall that swallows packets: it ends, and says so."""
    monkeypatch.setattr("subscriber.check.probe_database.LOOK_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:  # the kernel answers, nobody reads
        port = server.getsockname()[1]
        finding = await only(migrated, url=elsewhere(migrated, place=f"127.0.0.1:{port}/postgres"))
    assert finding.problem.startswith("timeout: ")


async def test_a_database_that_is_not_there(migrated: StoreOptions) -> None:
    """A wrong name behind the slash."""
    finding = await only(migrated, url=f"{migrated.url.rpartition('/')[0]}/nowhere")
    assert (finding.problem[:11], finding.remedy[:15]) == ("no_database", "CREATE DATABASE")


async def test_a_replica(migrated: StoreOptions) -> None:
    """A node that takes no writes: the endpoint to name."""
    finding = await only(migrated, url=f"{migrated.url}?default_transaction_read_only=on")
    assert "writer endpoint" in finding.remedy


@pytest.mark.skipif(pgbouncer_program() is None, reason="PgBouncer is not installed (apt-get install pgbouncer)")
async def test_a_pooler_nobody_spoke_of(migrated: StoreOptions, postgres_url: str) -> None:
    """PgBouncer refuses our settings at the start of a session: the setting to choose, with which it works."""
    with pgbouncer(postgres_url, sessions=2) as pooler:
        finding = await only(migrated, url=pooler.url)
        assert finding.remedy == "set SUBSCRIBER_DATABASE_POOLER=transaction"
        options = msgspec.structs.replace(migrated, url=pooler.url, pooler="transaction")
        assert await probe_database(options, "password") == []


async def test_no_schema(store_options: StoreOptions) -> None:
    """Nothing was migrated: the command, and an exit code of its own."""
    finding = await only(store_options)
    assert (finding.kind, finding.remedy) == (ExitCode.SCHEMA, "run `subscriber migrate`")


async def test_an_old_schema(migrated: StoreOptions, database: Database) -> None:
    """A step is missing: its name, and the command."""
    await database.execute("DELETE FROM schema_migrations WHERE number = 2")
    finding = await only(migrated)
    assert (finding.kind, "lacks 1_002_objects" in finding.problem) == (ExitCode.SCHEMA, True)


async def test_a_later_schema(migrated: StoreOptions, database: Database) -> None:
    """Of a release that this one does not know."""
    await database.execute("INSERT INTO schema_migrations VALUES (2, 1, '2_001_future')")
    finding = await only(migrated)
    assert (finding.kind, "newer release" in finding.sentence) == (ExitCode.SCHEMA, True)


@pytest.fixture
async def guest(migrated: StoreOptions, database: Database) -> AsyncIterator[tuple[str, StoreOptions]]:
    """A user without any right, and how it connects."""
    role = f"guest_{uuid.uuid4().hex[:12]}"
    await database.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    yield role, msgspec.structs.replace(migrated, url=elsewhere(migrated, login=f"{role}:secret"))
    await database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_database_that_lets_the_user_not_in(guest: tuple[str, StoreOptions], database: Database) -> None:
    """The password is right, the database is there, and CONNECT is not granted: the GRANT that is missing."""
    role, options = guest
    name = f"closed_{role}"
    await database.execute(f"CREATE DATABASE {name}")
    try:
        await database.execute(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
        finding = await only(options, url=f"{options.url.rpartition('/')[0]}/{name}")
    finally:
        await database.execute(f"DROP DATABASE {name}")
    assert finding.text == (
        f'no_privilege 42501: permission denied for database "{name}"; GRANT CONNECT ON DATABASE for the database in '
        "SUBSCRIBER_DATABASE_URL to its user"
    )


async def test_rights_that_are_missing(guest: tuple[str, StoreOptions], database: Database) -> None:
    """Each table with the privileges it lacks, as the GRANT that gives them; granted, they are not missed."""
    role, options = guest
    found = await probe_database(options, "password")
    assert [each.remedy.partition(" ON ")[0] for each in found] == [
        "GRANT USAGE",
        "GRANT SELECT, INSERT, UPDATE",
        "GRANT SELECT, INSERT, UPDATE",
        "GRANT SELECT",
    ]
    schema = quoted(options.schema)
    await database.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    await database.execute(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA {schema} TO {role}")
    found = await probe_database(options, "password")
    assert [each.problem for each in found] == [
        f"user {role} lacks UPDATE on {options.schema}.object_versions",
        f"user {role} lacks UPDATE on {options.schema}.quarantined_messages",
    ]
    await database.execute(f"GRANT UPDATE ON ALL TABLES IN SCHEMA {schema} TO {role}")
    assert await probe_database(options, "password") == []


async def test_a_right_on_some_columns(guest: tuple[str, StoreOptions], database: Database) -> None:
    """What a column of the table still lacks is named with the column, as GRANT takes it."""
    role, options = guest
    schema = quoted(options.schema)
    await database.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    await database.execute(f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {schema} TO {role}")
    await database.execute(f"REVOKE UPDATE ON {schema}.object_versions FROM {role}")
    await database.execute(
        f"GRANT UPDATE (state, sequencer, event_name, event_time, size_bytes) ON {schema}.object_versions TO {role}"
    )
    (finding,) = await probe_database(options, "password")
    assert (
        finding.text == f"user {role} lacks UPDATE (etag, ingested_at) on {options.schema}.object_versions; "
        f"GRANT UPDATE (etag, ingested_at) ON {options.schema}.object_versions TO {role}"
    )


async def test_too_few_connections_for_the_user(guest: tuple[str, StoreOptions], database: Database) -> None:
    """The role's own limit is below what one daemon may open."""
    role, options = guest
    await database.execute(f"GRANT USAGE ON SCHEMA {quoted(options.schema)} TO {role}")
    await database.execute(f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {quoted(options.schema)} TO {role}")
    await database.execute(f"ALTER ROLE {role} CONNECTION LIMIT 3")
    finding = await only(options, connections_max=10)
    assert finding.severity == "warning"
    assert f"lets user {role} have 3 connections, one daemon may open 10" in finding.problem
    assert "SUBSCRIBER_WRITE_MAX_CONCURRENCY" in finding.remedy


async def test_too_few_connections_for_all(migrated: StoreOptions) -> None:
    """The server has fewer free than one daemon may open."""
    finding = await only(migrated, connections_max=1000)
    assert re.match(r"has \d+ free connections now, one daemon may open 1000", finding.problem)


def test_an_old_server() -> None:
    """A version nobody maintains."""
    facts = DatabaseFacts("u", 130_009, is_read_only=False, has_schema=True, may_use_schema=True, connections_free=99)
    (finding,) = database_findings("s", facts, 10)
    assert finding.text == "is PostgreSQL 13; upgrade to PostgreSQL 14 or later"


async def test_buckets_of_the_index(migrated: StoreOptions) -> None:
    """The first of them, in order, each once, however many rows it has."""
    store = PostgresStore(migrated)
    names = ["c", "a", "b", "d"]
    await store.store([msgspec.structs.replace(row(key=str(n)), bucket=name) for name in names for n in range(3)])
    await store.close()
    assert await buckets_in_index(migrated, 3) == ["a", "b", "c"]
    assert await buckets_in_index(migrated, 20) == ["a", "b", "c", "d"]
