"""`subscriber buckets`: its sentences, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg
import msgspec
import pytest
from click.testing import CliRunner

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from subscriber.adapters.postgres.store import opened_store
from subscriber.buckets import BucketEvents, BucketJob
from subscriber.cli.buckets_text import ago_text, buckets_table, report_of, sentence
from subscriber.cli.main import main
from subscriber.jobs import JobState
from subscriber.reconcile.completeness import judgments
from tests.adapters.postgres.object_rows import row
from tests.e2e.conftest import plain_schema as plain_schema  # noqa: PLC0414 - a fixture

Execute: TypeAlias = Callable[[str], Awaitable[None]]
Cli: TypeAlias = Callable[..., Awaitable[tuple[int, str, str]]]

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
NOW = START + timedelta(hours=48)
NOTED = BucketEvents("lake", noted_at=START, events_since=START)


def job(job_id: int, kind: str = "reconcile", state: JobState = "succeeded", **changes: Any) -> BucketJob:
    """A job that ended as many hours after the start as its number says."""
    time = START + timedelta(hours=job_id)
    fields: dict[str, Any] = {"prefix": "", "repairs": kind != "reconcile"} | changes
    return BucketJob("lake", job_id, kind, state=state, created_at=time, finished_at=time, **fields)


@pytest.mark.parametrize(
    ("events", "jobs", "expected"),
    [
        (NOTED, [], "only events since 2026-03-01 08:00:00; nothing from before; run `subscriber backfill s3://lake`"),
        (
            BucketEvents("lake", noted_at=START),
            [],
            (
                "only events, the first of them before 2026-03-01 08:00:00; nothing from before; "
                "run `subscriber backfill s3://lake`"
            ),
        ),
        (
            BucketEvents("lake"),
            [],
            "rows, but no event was noted and no job has compared it; run `subscriber backfill s3://lake`",
        ),
        (
            BucketEvents("lake", has_rows=False),
            [],
            "nothing is known of it: no event was stored and no job has compared it; run `subscriber backfill s3://lake`",
        ),
        (
            NOTED,
            [job(1, "backfill", missing=49, written=49)],
            (
                "complete since 2026-03-01 09:00:00; "
                "filled 47 h ago by job 1: 49 differences (49 missing), 49 rows written"
            ),
        ),
        (
            BucketEvents("lake"),
            [job(1, "backfill", missing=1), job(46)],
            "complete since 2026-03-01 09:00:00, and no event was noted; compared 2 h ago by job 46: 0 differences",
        ),
        (
            NOTED,
            [job(1, "backfill"), job(46, missing=1, stale=2)],
            (
                "incomplete; compared 2 h ago by job 46: 3 differences (1 missing, 2 stale), not repaired; "
                "run `subscriber reconcile --repair s3://lake`"
            ),
        ),
        (
            NOTED,
            [job(1), job(2, prefix="a/\x1b[2J", ghost=1)],
            (
                "incomplete below a/\\x1b[2J (differs); compared 47 h ago by job 1: 0 differences; "
                "run `subscriber reconcile --repair s3://lake`"
            ),
        ),
        (
            NOTED,
            [job(1, "inventory")],
            (
                "filled from an inventory or list of keys 47 h ago and not compared since; "
                "only events since 2026-03-01 08:00:00; run `subscriber reconcile s3://lake`"
            ),
        ),
        (
            NOTED,
            [job(1, "backfill", ranges=8, failed=2)],
            "job 1 left out 2 of 8 ranges; only events since 2026-03-01 08:00:00; run `subscriber backfill s3://lake`",
        ),
        (
            NOTED,
            [job(n, "backfill", prefix=f"{n}/") for n in range(1, 8)],
            (
                "compared only below 1/, 2/, 3/, 4/, 5/ and 2 more; only events since 2026-03-01 08:00:00; "
                "run `subscriber backfill s3://lake`"
            ),
        ),
        (
            NOTED,
            [job(1, "backfill", "running", ranges=8, succeeded=3)],
            (
                "only events since 2026-03-01 08:00:00; nothing from before; "
                "job 1 (backfill) is running: 3 of 8 ranges done"
            ),
        ),
        (
            NOTED,
            [job(1, "backfill", "paused", ranges=8, succeeded=3)],
            (
                "only events since 2026-03-01 08:00:00; nothing from before; "
                "job 1 (backfill) is paused: 3 of 8 ranges done, `subscriber jobs resume 1` lets it go on"
            ),
        ),
        (
            NOTED,
            [job(1), job(2, state="failed")],
            (
                "complete since 2026-03-01 09:00:00; compared 47 h ago by job 1: 0 differences; "
                "job 2 (reconcile) failed: `subscriber jobs show 2`"
            ),
        ),
        (
            NOTED,
            [job(1, "backfill", "cancelled")],
            (
                "only events since 2026-03-01 08:00:00; nothing from before; job 1 (backfill) was cancelled; "
                "run `subscriber backfill s3://lake`"
            ),
        ),
    ],
)
def test_each_state_is_a_sentence(events: BucketEvents, jobs: list[BucketJob], expected: str) -> None:
    """What is known, what the last comparison found, and what to run."""
    (found,) = judgments([events], jobs)
    assert sentence(found, NOW) == expected


def test_the_table_and_the_report() -> None:
    """Nothing of a name or a prefix controls the terminal; JSON has every fact."""
    events = BucketEvents("la\x1b[2Jke", noted_at=START, youngest_event_time=START, event_rows=2)
    found = judgments([events, BucketEvents("z", has_rows=False)], [])
    lines = list(buckets_table(found, NOW))
    assert lines[0].split("  ")[0] == "bucket"
    assert lines[1].startswith("la\\x1b[2Jke  2026-03-01 08:00:00  about 2")
    assert lines[2].split()[:4] == ["z", "none", "noted", "0"]
    report = msgspec.to_builtins(report_of(found[0], NOW))
    assert (report["bucket"], report["kind"], report["compared_at"]) == ("la\x1b[2Jke", "events_only", None)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s ago"),
        (119, "119 s ago"),
        (120, "2 min ago"),
        (7199, "119 min ago"),
        (7200, "2 h ago"),
        (172_799, "47 h ago"),
        (172_800, "2 days ago"),
    ],
)
def test_ages(seconds: int, text: str) -> None:
    """In the largest unit of which there are two; a clock that is set back makes none negative."""
    assert ago_text(NOW - timedelta(seconds=seconds), NOW) == text


@pytest.fixture
async def cli(postgres_url: str, plain_schema: str, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs the command on migrated tables with two buckets; exit code, stdout and stderr."""
    # The log is configured for the whole process, which would outlive the test.
    monkeypatch.setattr("subscriber.cli.environment.configure", lambda *_: None)
    options = StoreOptions(url=postgres_url, schema=plain_schema, tls="disable")
    await migrate(options)
    async with opened_store(options) as store:
        await store.store([row(bucket="a"), row(bucket="b")])
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SUBSCRIBER_", "AWS_"))}
    settings = {"SUBSCRIBER_DATABASE_URL": postgres_url, "SUBSCRIBER_DATABASE_SCHEMA": plain_schema}
    environment = inherited | settings | {"SUBSCRIBER_DATABASE_TLS": "disable"}

    async def run(*arguments: str) -> tuple[int, str, str]:
        done = await asyncio.to_thread(CliRunner().invoke, main, ["buckets", *arguments], env=environment)
        return done.exit_code, done.stdout, done.stderr

    return run


async def test_a_longer_list_is_cut(cli: Cli) -> None:
    """And says so where it does not end in the result."""
    code, out, err = await cli()
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == ["bucket", "a", "b"]
    code, out, err = await cli("--limit", "1", "--format", "json")
    assert (code, [json.loads(line)["bucket"] for line in out.splitlines()]) == (0, ["a"])
    assert err == "these are the first 1 buckets by name; --limit shows more\n"


async def test_an_empty_index(cli: Cli, database_of: Execute) -> None:
    """One sentence."""
    await database_of("TRUNCATE object_versions")
    assert await cli() == (0, "the index knows no bucket: no event was stored and no job has run\n", "")


@pytest.fixture
def database_of(postgres_url: str, plain_schema: str) -> Execute:
    """Executes a statement in the schema."""

    async def execute(statement: str) -> None:
        connection = await asyncpg.connect(postgres_url, timeout=10, server_settings={"search_path": plain_schema})
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    return execute
