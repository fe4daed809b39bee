"""Least privilege in the database: the daemon runs as the writer of config/sql, which has no other privilege."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest

from subscriber.adapters.postgres.advisory_lock import AdvisoryLock
from subscriber.adapters.postgres.bucket_jobs import BucketJobsTable
from subscriber.adapters.postgres.buckets import BucketsTable
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.jobs import Jobs
from subscriber.adapters.postgres.migrations import check_schema, migrate
from subscriber.adapters.postgres.prune import FIRST, PrunedTables
from subscriber.adapters.postgres.quarantine import Filters, Quarantine
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.buckets import BucketTally
from subscriber.check.probe_database import note_problems, probe_database
from subscriber.errors import ExitCode, StoreError
from subscriber.jobs import BucketJobs, PageDone, RangeState, Tolerance
from subscriber.model import Rejection
from testkit.daemon import daemon_process
from testkit.s3.generated import GeneratedPlan
from testkit.s3.launch import ListingServer
from tests.adapters.postgres.object_rows import NOON, message, row
from tests.e2e.environment import RunContext, put_body
from tests.e2e.reconcile_runs import ReconcileRuns
from tests.fixtures.s3 import MakeBucket
from tests.reconcile.walks import new_job
from tests.security.sql_roles import SQL, Roles, granted_roles, options_of, revoked, run

FORBIDDEN = (
    "DELETE FROM object_versions",
    "TRUNCATE object_versions",
    "DROP TABLE object_versions",
    "ALTER TABLE object_versions ADD COLUMN x integer",
    "UPDATE object_versions SET key = 'other'",
    "SELECT body FROM quarantined_messages",
    "UPDATE quarantined_messages SET body = ''",
    "UPDATE quarantined_messages SET replayed_at = now()",
    "DELETE FROM quarantined_messages",
    "DELETE FROM job_ranges",
    "DELETE FROM jobs",
    "DELETE FROM buckets",
    "UPDATE buckets SET bucket = 'other'",
    "UPDATE jobs SET bucket = 'other'",
    "DELETE FROM schema_migrations",
    "INSERT INTO schema_migrations VALUES (9, 1, 'x')",
    "CREATE TABLE x ()",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "COPY object_versions TO PROGRAM 'cat'",
    "SELECT pg_read_file('/etc/passwd')",
    "CREATE ROLE another SUPERUSER",
    "SET ROLE postgres",
)


@pytest.fixture
async def roles(postgres_url: str, plain_schema: str) -> AsyncIterator[Roles]:
    """The roles, with the owner's tables and the grants."""
    async with granted_roles(postgres_url, plain_schema) as roles:
        yield roles


async def _run_all_statements(roles: Roles) -> None:
    """All statements of the daemon, each on new and on existing rows; raises StoreError."""
    options = options_of(roles, roles.writer_url)
    store = PostgresStore(options)
    try:
        await store.open()
        await check_schema(options)
        for sequencer in ("1", "2", "1"):
            await store.store([row(sequencer=sequencer)])
            assert await store.locked_rows([row(sequencer=sequencer)], 1.0) == frozenset()
        for count in (1, 2):
            await store.quarantine([(message(receive_count=count), Rejection("not_json", "a test"))])
        assert await Quarantine(options).waiting(10) == {"not_json": 1}
    finally:
        await store.close()


async def test_the_daemon_runs_as_the_writer(context: RunContext, roles: Roles) -> None:
    """The real process with that role: rows, an older event, a quarantined body twice; nothing fails."""
    environment = context.environment(DATABASE_URL=roles.writer_url)
    bodies = [put_body("a.txt", second=2), put_body("a.txt", second=1), put_body("b.txt"), "not json", "not json"]
    with daemon_process(environment) as daemon:
        context.send(bodies)
        await context.until_empty()
        assert daemon.metric("subscriber_write_failures_total") == 0
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    assert [tuple(each) for each in await context.fetch("SELECT key FROM objects ORDER BY key")] == [
        ("a.txt",),
        ("b.txt",),
    ]
    assert len(await context.fetch("SELECT FROM quarantined_messages")) == 2


async def test_the_writer_has_no_other_privilege(roles: Roles) -> None:
    """It can neither delete rows nor read quarantined bodies, nor change schema, roles or the host."""
    await _run_all_statements(roles)
    connection = await asyncpg.connect(roles.writer_url, server_settings={"search_path": roles.schema}, timeout=10)
    allowed = []
    for statement in FORBIDDEN:
        try:
            await connection.execute(statement)
        except asyncpg.InsufficientPrivilegeError:
            continue
        allowed.append(statement)
    await connection.close()
    assert allowed == []


async def _run_all_job_statements(roles: Roles) -> None:
    """All statements of workers and of `subscriber jobs`; raises StoreError."""
    jobs = Jobs(options_of(roles, roles.writer_url))
    try:
        job_id = await jobs.create(new_job(100, 2))
        claims = [await jobs.claim(job_id, "w-1", 60.0) for _ in range(2)]
        first, second = (claim.held for claim in claims if claim)
        assert await jobs.ask_cut(first, "key-00030", 8)
        await jobs.progress(first, PageDone("key-00010", 1), 60.0)
        rest = await jobs.claim(job_id, "w-2", 60.0)
        assert rest is not None
        states: tuple[RangeState, ...] = ("succeeded", "failed", "pending")
        for held, state in zip((first, second, rest.held), states, strict=True):
            assert await jobs.leave(held, state)
        assert await jobs.move(job_id, {"running"}, "failed")
        assert await jobs.redrive(job_id, {"failed"}) == 1
        assert await jobs.tune(job_id, {"running"}, concurrency=2, tolerance=Tolerance(3))
        assert (await jobs.newest(1))[0].job_id == job_id
    finally:
        await jobs.close()


async def _run_all_bucket_statements(roles: Roles) -> None:
    """All statements on the table of buckets; raises StoreError."""
    options = options_of(roles, roles.writer_url)
    store = PostgresStore(options)
    try:
        for _ in range(2):
            await store.note_buckets({"lake": BucketTally(1, NOON, NOON, 0.0, 0.0)})
        assert (await store.youngest_event_ages(["lake"])).keys() == {"lake"}
    finally:
        await store.close()
    table = BucketsTable(options)
    (found,) = [each for each in await table.events(10, ()) if each.bucket == "lake"]
    assert found.event_rows >= 2
    await table.jobs(["lake"])


def _grants_to_writer(roles: Roles) -> tuple[list[str], list[str], list[str]]:
    """The grants that the daemon needs, those that jobs need, and those that the notes about buckets need."""
    script = re.sub(r"^--.*$", "", roles.script("grants.sql"), flags=re.MULTILINE)
    grants = [grant.strip() for grant in script.split(";") if f'"{roles.writer}"' in grant]
    grants = [grant for grant in grants if "enrichment" not in grant and "object_metadata" not in grant]
    of_jobs = [grant for grant in grants if "job" in grant]
    of_buckets = [grant for grant in grants if ".buckets" in grant]
    of_features = [grant for grant in grants if "FUNCTION" in grant]
    others = [grant for grant in grants if grant not in [*of_jobs, *of_buckets, *of_features]]
    return others, of_jobs, of_buckets


async def test_no_grant_is_superfluous(roles: Roles) -> None:
    """Without any one of the grants the daemon's statements fail, and `check` reports it."""
    grants, _, _ = _grants_to_writer(roles)
    assert len(grants) == 8
    as_writer = options_of(roles, roles.writer_url)
    assert await probe_database(as_writer, "password") == []
    for grant in grants:
        await run(roles.owner_url, revoked(roles, grant))
        with pytest.raises(StoreError, match="permission denied"):
            await _run_all_statements(roles)
        assert [each.kind for each in await probe_database(as_writer, "password")] == [ExitCode.DATABASE], grant
        await run(roles.owner_url, grant)
    await _run_all_statements(roles)


async def test_jobs_need_their_grants_and_the_daemon_does_not(roles: Roles) -> None:
    """Without any one of them a statement of jobs fails with the remedy; the daemon, and `check`, miss none."""
    _, grants, _ = _grants_to_writer(roles)
    assert len(grants) == 6
    await _run_all_job_statements(roles)
    for grant in grants:
        await run(roles.owner_url, revoked(roles, grant))
        with pytest.raises(StoreError, match=r"run config/sql/grants\.sql again.*permission denied"):
            await _run_all_job_statements(roles)
        await run(roles.owner_url, grant)
    for grant in grants:
        await run(roles.owner_url, revoked(roles, grant))
    await _run_all_statements(roles)
    assert await probe_database(options_of(roles, roles.writer_url), "password") == []


async def test_notes_about_buckets_need_their_grants_and_the_daemon_does_not(roles: Roles) -> None:
    """Without any one of them a statement fails with the remedy, and `check` warns; the daemon goes on."""
    _, _, grants = _grants_to_writer(roles)
    assert len(grants) == 3
    as_writer = options_of(roles, roles.writer_url)
    await _run_all_bucket_statements(roles)
    for grant in grants:
        await run(roles.owner_url, revoked(roles, grant))
        with pytest.raises(StoreError, match=r"run config/sql/grants\.sql again.*permission denied"):
            await _run_all_bucket_statements(roles)
        (finding,) = await note_problems(as_writer)
        assert (finding.severity, finding.remedy) == ("warning", "run config/sql/grants.sql again")
        await run(roles.owner_url, grant)
    assert await note_problems(as_writer) == []
    for grant in grants:
        await run(roles.owner_url, revoked(roles, grant))
    await _run_all_statements(roles)
    assert await probe_database(as_writer, "password") == []


async def test_a_bucket_is_filled_and_compared_as_the_writer(
    context: RunContext, roles: Roles, listing_server: ListingServer, serve_bucket: MakeBucket
) -> None:
    """The real commands with that role need no further grant."""
    runs = ReconcileRuns(context, listing_server)
    runs.changed = {"SUBSCRIBER_DATABASE_URL": roles.writer_url}
    spec = serve_bucket(generated=GeneratedPlan(keys=20))
    filled = await runs.run("backfill", f"s3://{spec.name}", "--anyway")
    assert filled.code == 0, filled.err
    compared = await runs.run("reconcile", f"s3://{spec.name}", "--anyway", "--grace", "0")
    assert compared.code == 0, compared.err


async def test_the_schedule_of_a_daemon_needs_no_further_grant(roles: Roles) -> None:
    """What the writer's role may read and lock is enough for it."""
    options = options_of(roles, roles.writer_url)
    tables, lock = BucketJobsTable(options), AdvisoryLock(options, "reconciliation")
    try:
        assert await tables.indexed_buckets(10) == []
        assert await tables.of(["lake"], "schedule") == [BucketJobs("lake")]
        assert await lock.is_ours()
    finally:
        await tables.close()
        await lock.release()


async def test_only_the_owner_can_prune(roles: Roles) -> None:
    """The writer is told which role can."""
    await _run_all_statements(roles)
    for kind in ("tombstones", "quarantine"):
        owned, written = (PrunedTables(options_of(roles, url)) for url in (roles.owner_url, roles.writer_url))
        page = await owned.prune(kind, FIRST[kind], datetime.now(UTC), 10, dry_run=False)
        assert page is not None
        assert (page.seen, page.removed) == (1, 0)
        with pytest.raises(StoreError, match="run this as that role"):
            await written.prune(kind, FIRST[kind], datetime.now(UTC), 10, dry_run=False)


async def test_the_grants_are_repeatable(roles: Roles) -> None:
    """As after the next migration: nothing fails and nothing changes."""
    await run(roles.owner_url, roles.script("grants.sql"))
    await _run_all_statements(roles)


async def test_the_writer_cannot_migrate(roles: Roles) -> None:
    """With the daemon's password one cannot create another schema either."""
    for schema in (roles.schema, f"{roles.schema}_2"):
        with pytest.raises(StoreError, match=r"^Only the owner of the schema can migrate.*permission denied"):
            await migrate(StoreOptions(url=roles.writer_url, schema=schema, tls="disable"))


async def test_the_writer_cannot_read_the_quarantine(roles: Roles) -> None:
    """With the daemon's login, `subscriber quarantine` names the role that is needed."""
    with pytest.raises(StoreError, match=r"^Only the owner of the quarantine table can read.*permission denied"):
        await Quarantine(options_of(roles, roles.writer_url)).counts(Filters())


async def test_readers_can_read_only_the_view(roles: Roles, postgres_url: str) -> None:
    """Readers can read the view, but not the tables behind it."""
    await _run_all_statements(roles)
    connection = await asyncpg.connect(postgres_url, server_settings={"search_path": roles.schema}, timeout=10)
    try:
        await connection.execute(f"SET ROLE {roles.reader}")
        assert await connection.fetchval("SELECT count(*) FROM objects") == 1
        for table in ("object_versions", "quarantined_messages", "schema_migrations", "buckets"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"SELECT FROM {table}")
    finally:
        await connection.close()


def test_every_script_documents_its_variables() -> None:
    """The command in a script sets exactly the variables that the script uses."""
    for path in SQL.glob("*.sql"):
        text = path.read_text()
        assert set(re.findall(r':"(\w+)"', text)) == set(re.findall(r"-v (?!ON_ERROR_STOP)(\w+)=", text))
