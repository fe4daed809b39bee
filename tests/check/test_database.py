"""Mistakes with a real database, and the finding about each."""

from __future__ import annotations

import re
import socket
import uuid
from collections.abc import AsyncIterator
from typing import TypeAlias
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest
import trustme

from benchmarks.chaos.proxy import network
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.statements import quoted
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.check.probe_database import buckets_in_index, durability_problems, probe_database
from subscriber.check.rules.database import DatabaseFacts, database_findings, failure_finding
from subscriber.check.rules.finding import Finding
from subscriber.errors import ExitCode, StoreError, Treatment
from testkit.postgres.pgbouncer import pgbouncer, pgbouncer_program
from testkit.postgres.postgres import LocalPostgres
from tests.adapters.postgres.object_rows import row
from tests.adapters.postgres.tls_proxy import tls_proxy
from tests.fixtures.ports import closed_port

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def only(options: StoreOptions, **changes: object) -> Finding:
    """The only finding."""
    (finding,) = await probe_database(msgspec.structs.replace(options, **changes), "password")
    assert "\n" not in finding.sentence
    return finding


def url_with(options: StoreOptions, login: str | None = None, address: str | None = None) -> str:
    """The URL with another user and password, or another address."""
    old_login, old_address = re.fullmatch(r"postgresql://([^@]+)@(.+)", options.url).groups()  # type: ignore[union-attr]  # it is one
    return f"postgresql://{login or old_login}@{address or old_address}"


async def test_a_good_database_has_no_findings(migrated: StoreOptions) -> None:
    """The server answers, the user can write, the schema fits."""
    assert await probe_database(migrated, "password") == []


async def test_all_checks_take_one_login(migrated: StoreOptions) -> None:
    """A start logs in once for them and once for the pipeline, so restarts do not use up the server's connections."""
    port = urlsplit(migrated.url).port
    assert port is not None
    async with network(port) as proxy:
        options = msgspec.structs.replace(migrated, url=migrated.url.replace(f":{port}/", f":{proxy.port}/"))
        assert await probe_database(options, "password") == []
        assert proxy.connections == 1


@pytest.mark.parametrize(
    ("auth", "remedy"),
    [
        ("password", "correct user and password in SUBSCRIBER_DATABASE_URL"),
        ("iam", "GRANT rds_iam"),
        ("secret", "SUBSCRIBER_DATABASE_SECRET_ARN"),
    ],
)
async def test_a_wrong_password(migrated: StoreOptions, auth: str, remedy: str) -> None:
    """The remedy depends on the source of the password; the password is not shown."""
    options = msgspec.structs.replace(migrated, url=url_with(migrated, login="postgres:hush"))
    (finding,) = await probe_database(options, auth)  # type: ignore[arg-type]  # of three words
    assert (finding.severity, finding.kind) == ("error", ExitCode.DATABASE)
    assert "28P01" in finding.problem
    assert remedy in finding.remedy
    assert "hush" not in finding.sentence


async def test_a_server_without_tls(migrated: StoreOptions) -> None:
    """The connection fails, and the password is not sent unencrypted."""
    finding = await only(migrated, tls="verify-full")
    assert finding.problem.startswith("does not support TLS, but SUBSCRIBER_DATABASE_TLS requires it")


async def test_an_untrusted_certificate(migrated: StoreOptions) -> None:
    """An unknown CA signed it: the remedy names the setting of the CA file."""
    async with tls_proxy(migrated.url, trustme.CA()) as (port, _):
        finding = await only(migrated, url=url_with(migrated, address=f"localhost:{port}/postgres"), tls="verify-full")
    assert finding.problem.startswith("certificate: ")
    assert "SUBSCRIBER_DATABASE_CA_FILE" in finding.remedy


def test_a_server_that_requires_tls() -> None:
    """As RDS with rds.force_ssl: the remedy is the setting for TLS."""
    detail = 'no pg_hba.conf entry for host "10.0.0.1", user "u", database "d", no encryption'
    finding = failure_finding(StoreError(Treatment.CREDENTIALS, "credentials", "28000", detail), "password")
    assert finding.remedy == "set SUBSCRIBER_DATABASE_TLS=verify-full"


async def test_a_closed_port(migrated: StoreOptions) -> None:
    """The remedy names host, port and security group."""
    with closed_port() as port:
        finding = await only(migrated, url=url_with(migrated, address=f"127.0.0.1:{port}/postgres"))
    assert finding.problem.startswith("unreachable: ")
    assert "the security group" in finding.remedy


async def test_a_server_that_does_not_answer(migrated: StoreOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a firewall that drops packets: the check times out."""
    monkeypatch.setattr("subscriber.check.probe_database.PROBE_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:  # the kernel accepts, nobody reads
        port = server.getsockname()[1]
        finding = await only(migrated, url=url_with(migrated, address=f"127.0.0.1:{port}/postgres"))
    assert finding.problem.startswith("timeout: ")


async def test_a_database_that_does_not_exist(migrated: StoreOptions) -> None:
    """The name in the URL is wrong."""
    finding = await only(migrated, url=f"{migrated.url.rpartition('/')[0]}/nowhere")
    assert (finding.problem[:11], finding.remedy[:15]) == ("no_database", "CREATE DATABASE")


async def test_a_database_that_is_set_read_only(migrated: StoreOptions) -> None:
    """A setting makes sessions read-only: the remedy is not another host."""
    finding = await only(migrated, url=f"{migrated.url}?default_transaction_read_only=on")
    assert finding.problem.startswith("is set read-only: default_transaction_read_only is on for the database")
    assert finding.remedy.endswith("RESET default_transaction_read_only")


def test_a_replica() -> None:
    """A node in recovery is read-only, too: the remedy names the writer endpoint. Both ways lead to the same words."""
    facts = DatabaseFacts("u", 140_000, is_read_only=True, has_schema=True, may_use_schema=True, connections_free=99)
    (set_read_only,) = database_findings("s", facts, 10)
    assert set_read_only.problem.startswith("is set read-only")
    (replica,) = database_findings("s", msgspec.structs.replace(facts, is_in_recovery=True), 10)
    assert replica.problem == "is read-only here: a replica, or the reader endpoint"
    detail = "h:5432: the server is in recovery"
    finding = failure_finding(StoreError(Treatment.RECONNECT, "standby", "25006", detail), "password")
    assert finding.problem == f"{replica.problem} (standby 25006: {detail})"
    assert finding.remedy == replica.remedy == "name the cluster's writer endpoint in SUBSCRIBER_DATABASE_URL"


@pytest.mark.parametrize(
    ("settings", "off"),
    [({}, "fsync and full_page_writes"), ({"fsync": "on"}, "full_page_writes"), ({"full_page_writes": "on"}, "fsync")],
)
async def test_a_server_that_gives_up_durability(settings: dict[str, str], off: str) -> None:
    """It is a warning, except on Aurora, which needs neither."""
    with LocalPostgres(durable=False, settings=settings) as server:
        options = StoreOptions(url=server.url, tls="disable")
        (finding,) = await durability_problems(options)
        assert (finding.severity, finding.kind) == ("warning", ExitCode.DATABASE)
        assert finding.sentence == (
            f"database: has {off} off: a crash of its machine may lose rows whose messages are deleted, or damage "
            f"tables; set {off} to on in the server's configuration, unless its data may be lost"
        )
        admin = await asyncpg.connect(server.url, timeout=10)
        await admin.execute("SET allow_system_table_mods = on")
        await admin.execute("CREATE FUNCTION pg_catalog.aurora_version() RETURNS text LANGUAGE sql RETURN '17.4'")
        await admin.close()
        assert await durability_problems(options) == []


async def test_a_durable_server() -> None:
    """With both on there is nothing to say."""
    with LocalPostgres() as server:
        assert await durability_problems(StoreOptions(url=server.url, tls="disable")) == []


@pytest.mark.skipif(pgbouncer_program() is None, reason="PgBouncer is not installed (apt-get install pgbouncer)")
async def test_an_undeclared_pooler(migrated: StoreOptions, postgres_url: str) -> None:
    """PgBouncer rejects our startup parameters; with the setting in the remedy the check passes."""
    with pgbouncer(postgres_url, sessions=2) as pooler:
        finding = await only(migrated, url=pooler.url)
        assert finding.remedy == "set SUBSCRIBER_DATABASE_POOLER=transaction"
        options = msgspec.structs.replace(migrated, url=pooler.url, pooler="transaction")
        assert await probe_database(options, "password") == []


async def test_no_schema(store_options: StoreOptions) -> None:
    """Not migrated: the remedy is the command, and the exit code is that of the schema."""
    finding = await only(store_options)
    assert (finding.kind, finding.remedy) == (ExitCode.SCHEMA, "run `subscriber migrate`")


async def test_an_old_schema(migrated: StoreOptions, database: Database) -> None:
    """The finding names the missing migration and the command."""
    await database.execute("DELETE FROM schema_migrations WHERE number = 2")
    finding = await only(migrated)
    assert (finding.kind, "lacks 1_002_objects" in finding.problem) == (ExitCode.SCHEMA, True)


async def test_a_later_schema(migrated: StoreOptions, database: Database) -> None:
    """A later major needs a newer release."""
    await database.execute("INSERT INTO schema_migrations VALUES (2, 1, '2_001_future')")
    finding = await only(migrated)
    assert (finding.kind, "newer release" in finding.sentence) == (ExitCode.SCHEMA, True)


@pytest.fixture
async def guest(migrated: StoreOptions, database: Database) -> AsyncIterator[tuple[str, StoreOptions]]:
    """A user without privileges, and its connection options."""
    role = f"guest_{uuid.uuid4().hex[:12]}"
    await database.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    yield role, msgspec.structs.replace(migrated, url=url_with(migrated, login=f"{role}:secret"))
    await database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_user_without_connect(guest: tuple[str, StoreOptions], database: Database) -> None:
    """Password and database are right, but CONNECT is not granted: the remedy is the GRANT."""
    role, options = guest
    name = f"closed_{role}"
    await database.execute(f"CREATE DATABASE {name}")
    try:
        await database.execute(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
        finding = await only(options, url=f"{options.url.rpartition('/')[0]}/{name}")
    finally:
        await database.execute(f"DROP DATABASE {name}")
    where = urlsplit(options.url).netloc.rpartition("@")[2]
    assert finding.text == (
        f'no_privilege 42501: {where}: permission denied for database "{name}"; GRANT CONNECT ON DATABASE for '
        "the database in SUBSCRIBER_DATABASE_URL to its user"
    )


async def test_missing_privileges(guest: tuple[str, StoreOptions], database: Database) -> None:
    """Each table with its missing privileges as a GRANT statement; after these GRANTs the check passes."""
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


async def _grant_writes(schema: str, role: str, database: Database) -> None:
    await database.execute(f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {role}")
    await database.execute(f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {quoted(schema)} TO {role}")


@pytest.mark.parametrize("table", ["object_versions", "quarantined_messages"])
async def test_row_level_security(guest: tuple[str, StoreOptions], database: Database, table: str) -> None:
    """All privileges are granted, and a policy is missing: only a write shows it. With the policy the check passes."""
    role, options = guest
    await _grant_writes(options.schema, role, database)
    await database.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    finding = await only(options)
    assert (finding.severity, finding.kind) == ("error", ExitCode.DATABASE)
    assert finding.problem == (
        f"row-level security rejects the rows of user {role} (no_privilege 42501: new row violates row-level security "
        f'policy for table "{table}")'
    )
    await database.execute(f"CREATE POLICY p ON {table} FOR ALL TO {role} USING (true) WITH CHECK (true)")
    assert await probe_database(options, "password") == []


async def test_an_update_is_tried_too(guest: tuple[str, StoreOptions], database: Database) -> None:
    """A policy that lets rows be inserted and not updated is found."""
    role, options = guest
    await _grant_writes(options.schema, role, database)
    await database.execute("ALTER TABLE object_versions ENABLE ROW LEVEL SECURITY")
    await database.execute(f"CREATE POLICY i ON object_versions FOR INSERT TO {role} WITH CHECK (true)")
    await database.execute(f"CREATE POLICY s ON object_versions FOR SELECT TO {role} USING (true)")
    assert (await only(options)).problem.startswith("row-level security rejects the rows")


RAISE = """CREATE FUNCTION pg_temp.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
           CREATE TRIGGER t BEFORE INSERT ON object_versions FOR EACH ROW EXECUTE FUNCTION pg_temp.fail()"""
AUDIT = """CREATE TABLE audit (id integer);
           CREATE FUNCTION pg_temp.audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               EXECUTE format('INSERT INTO %I.audit VALUES (1)', TG_TABLE_SCHEMA); RETURN NEW; END $$;
           CREATE TRIGGER t AFTER INSERT ON object_versions FOR EACH ROW EXECUTE FUNCTION pg_temp.audit()"""


@pytest.mark.parametrize(
    ("change", "severity", "words"),
    [
        ("ALTER TABLE object_versions ADD tenant text NOT NULL", "error", "subscriber does not fill is NOT NULL"),
        ("ALTER TABLE object_versions ADD CHECK (key = 'x') NOT VALID", "warning", "check_violation 23514"),
        (RAISE, "warning", "trigger P0001: no"),
        (AUDIT, None, ""),
        (AUDIT.replace("%I.audit", "%I.gone"), "error", "does not accept writes (schema_mismatch 42P01"),
        ("BEGIN; LOCK TABLE object_versions IN EXCLUSIVE MODE", "warning", "no write could be tried"),
        ("ALTER TABLE quarantined_messages ADD tenant text NOT NULL", "error", "is NOT NULL (null_value 23502"),
    ],
)
async def test_a_write_is_tried(
    migrated: StoreOptions, database: Database, change: str, severity: str | None, words: str
) -> None:
    """What rejects every row is an error; what may accept real rows is a warning. Nothing of the write remains."""
    await database.execute(change)
    found = await probe_database(migrated, "password")
    assert [(each.severity, words in each.problem) for each in found] == ([(severity, True)] if severity else [])
    await database.execute("ROLLBACK")
    counts = [
        await database.fetchval(f"SELECT count(*) FROM {name}") for name in ("object_versions", "quarantined_messages")
    ]
    assert counts == [0, 0]


async def test_the_rights_of_a_trigger(guest: tuple[str, StoreOptions], database: Database) -> None:
    """A trigger uses a table that the user may not: the sentence names it."""
    role, options = guest
    await _grant_writes(options.schema, role, database)
    await database.execute(AUDIT)
    finding = await only(options)
    assert finding.problem.startswith(f"a write of user {role} lacks a privilege (no_privilege 42501: ")


async def test_a_privilege_on_some_columns(guest: tuple[str, StoreOptions], database: Database) -> None:
    """A privilege that only some columns lack is named with the columns, in the syntax of GRANT."""
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
    """The role's limit is lower than the connections of one daemon."""
    role, options = guest
    await database.execute(f"GRANT USAGE ON SCHEMA {quoted(options.schema)} TO {role}")
    await database.execute(f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {quoted(options.schema)} TO {role}")
    await database.execute(f"ALTER ROLE {role} CONNECTION LIMIT 3")
    finding = await only(options, connections_max=10)
    assert finding.severity == "warning"
    assert f"allows user {role} 3 connections, but one daemon may open 10" in finding.problem
    assert "SUBSCRIBER_WRITE_MAX_CONCURRENCY" in finding.remedy


async def test_too_few_connections_for_all(migrated: StoreOptions) -> None:
    """The server has fewer free connections than one daemon may open."""
    finding = await only(migrated, connections_max=992, connections_beside=8)
    assert re.match(r"has \d+ free connections now, but one daemon may open 1000", finding.problem)


def test_an_old_server() -> None:
    """A version that is not maintained any more."""
    facts = DatabaseFacts("u", 130_009, is_read_only=False, has_schema=True, may_use_schema=True, connections_free=99)
    (finding,) = database_findings("s", facts, 10)
    assert finding.text == "is PostgreSQL 13; upgrade to PostgreSQL 14 or later"


async def test_buckets_of_the_index(migrated: StoreOptions) -> None:
    """The first buckets in order, each once, whatever the number of its rows."""
    store = PostgresStore(migrated)
    names = ["c", "a", "b", "d"]
    await store.store([msgspec.structs.replace(row(key=str(n)), bucket=name) for name in names for n in range(3)])
    await store.close()
    assert await buckets_in_index(migrated, 3) == ["a", "b", "c"]
    assert await buckets_in_index(migrated, 20) == ["a", "b", "c", "d"]
