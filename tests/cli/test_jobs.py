"""`subscriber jobs` on a real database: what it prints, what it changes, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator

import pytest
from click.testing import CliRunner

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.jobs import Jobs
from subscriber.adapters.postgres.migrations import migrate
from subscriber.cli.main import main
from subscriber.jobs import Counters, DriftExample, JobOptions, NewJob, PageDone, Tolerance
from subscriber.model import KeyRange
from tests.e2e.conftest import plain_schema as plain_schema  # noqa: PLC0414 - a fixture

RANGES = (KeyRange("", "a\x1b[2J"), KeyRange("a\x1b[2J", "m" * 80), KeyRange("m" * 80, None))
JOB = NewJob("reconcile", "lake", "", RANGES, "me@host", JobOptions(repair=True), 8, Tolerance(1))


class JobsCli:
    """The command on a schema of its own."""

    def __init__(self, environment: dict[str, str], tables: Jobs) -> None:
        self.environment = environment
        self.tables = tables

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        done = await asyncio.to_thread(CliRunner().invoke, main, ["jobs", *arguments], env=self.environment)
        return done.exit_code, done.stdout, done.stderr

    async def prints(self, *arguments: str) -> str:
        """What a command that succeeds prints."""
        code, out, err = await self.run(*arguments)
        assert (code, err) == (0, "")
        return out.strip()

    async def rejects(self, *arguments: str) -> str:
        """The sentence of a command that is rejected."""
        code, out, err = await self.run(*arguments)
        assert (code, out) == (2, "")
        return err.strip()


@pytest.fixture
async def cli(postgres_url: str, plain_schema: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[JobsCli]:
    """Tables without a job."""
    # The log is configured for the whole process, which would outlive the test.
    monkeypatch.setattr("subscriber.cli.environment.configure", lambda *_: None)
    options = StoreOptions(url=postgres_url, schema=plain_schema, tls="disable")
    await migrate(options)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SUBSCRIBER_", "AWS_"))}
    settings = {"SUBSCRIBER_DATABASE_URL": postgres_url, "SUBSCRIBER_DATABASE_SCHEMA": plain_schema}
    tables = Jobs(options)
    yield JobsCli(inherited | settings, tables)
    await tables.close()


async def half_done(tables: Jobs) -> int:
    """A job with a range that is done, one that failed, and one that runs."""
    job_id = await tables.create(JOB)
    for state, error in (("succeeded", None), ("failed", "AccessDenied: no\nsecond line")):
        claim = await tables.claim(job_id, "worker-1", 60.0)
        assert claim is not None
        counters = Counters(listed=10, written=3, missing=1, ghost=1, stale=1, fresh=2, requests=1, bytes=99)
        key = claim.held.keys.after + "x"
        await tables.progress(claim.held, PageDone(key, 1, counters, (DriftExample("ghost", key),)), 60.0)
        await tables.leave(claim.held, "failed" if state == "failed" else "succeeded", error)
    assert await tables.claim(job_id, "worker-2", 60.0) is not None
    return job_id


async def test_list_prints_a_line_for_each_job(cli: JobsCli) -> None:
    """As a table for people, and as JSON Lines for programs."""
    assert await cli.prints("list") == "there is no job"
    job_id = await half_done(cli.tables)
    await cli.tables.create(JOB)
    head, newest, oldest = (await cli.prints("list")).splitlines()
    assert head.split() == ["job", "state", "kind", "what", "ranges", "listed", "drift", "written", "created", "by"]
    assert newest.split()[:5] == [str(job_id + 1), "running", "reconcile", "s3://lake/", "0/3"]
    assert oldest.split()[:10] == [
        str(job_id),
        "running",
        "reconcile",
        "s3://lake/",
        "1/3,",
        "1",
        "failed",
        "20",
        "6",
        "6",
    ]
    assert len((await cli.prints("list", "--limit", "1")).splitlines()) == 2
    (line,) = (await cli.prints("list", "--limit", "1", "--format", "json")).splitlines()
    assert json.loads(line)["job_id"] == job_id + 1


async def test_show_prints_the_job_and_what_needs_attention(cli: JobsCli) -> None:
    """Ranges that run and that failed, or those that are asked for; nothing can control the terminal."""
    job_id = await half_done(cli.tables)
    text = await cli.prints("show", str(job_id))
    facts = dict(line.split(maxsplit=1) for line in text.partition("\n\n")[0].splitlines())
    assert facts["job"] == f"{job_id}, reconcile of s3://lake/ with repair"
    assert facts["ranges"] == "1 of 3 succeeded, 1 running, 0 pending, 1 failed"
    assert facts["tolerated"] == "1 failed range (now 1)"
    assert facts["drift"] == "2 missing, 2 ghosts, 2 stale: 198 bytes"
    assert "\x1b" not in text
    failed, running = text.partition("\n\n")[2].splitlines()[1:]
    assert failed.split()[:3] == ["2", "failed", "a\\x1b[2J"]
    assert failed.endswith("AccessDenied: no\\nsecond line")
    assert running.split()[:2] == ["3", "running"]
    assert "worker-2" in running
    assert "succeeded" in (await cli.prints("show", str(job_id), "--ranges", "succeeded")).splitlines()[-1]
    shown = json.loads(await cli.prints("show", str(job_id), "--format", "json"))
    assert [each["number"] for each in shown["ranges"]] == [2, 3]
    assert shown["job"]["counters"]["ghost"] == 2
    assert shown["ranges"][0]["examples"] == [{"kind": "ghost", "key": "a\x1b[2Jx"}]


async def test_a_job_is_paused_resumed_cancelled_and_redriven(cli: JobsCli) -> None:
    """Each in a sentence that says what happens next; what is so already stays so."""
    job_id = await half_done(cli.tables)
    for _ in range(2):
        assert await cli.prints("pause", str(job_id)) == (
            f"job {job_id} is paused: its workers let go of their ranges within seconds, and `subscriber jobs resume "
            f"{job_id}` lets them go on"
        )
    assert await cli.rejects("redrive", str(job_id)) == (
        f"subscriber: job {job_id} is paused, so it cannot be changed by redrive: "
        "`subscriber jobs resume` lets it go on"
    )
    assert (await cli.prints("resume", str(job_id))).startswith(f"job {job_id} is running: ")
    assert (await cli.prints("cancel", str(job_id))).startswith(f"job {job_id} is cancelled: ")
    assert (await cli.rejects("resume", str(job_id))).startswith(f"subscriber: job {job_id} is cancelled, ")
    assert (await cli.prints("redrive", str(job_id))).startswith(
        f"1 failed range is pending again; job {job_id} is run"
    )
    assert (await cli.tables.get(job_id)).state == "running"


async def test_a_job_without_failures_is_not_redriven(cli: JobsCli) -> None:
    """It stays as it ended."""
    job_id = await cli.tables.create(JOB)
    while claim := await cli.tables.claim(job_id, "w", 60.0):
        await cli.tables.leave(claim.held, "succeeded")
    await cli.tables.move(job_id, {"running"}, "succeeded")
    assert await cli.rejects("redrive", str(job_id)) == (
        f"subscriber: all ranges of job {job_id} have succeeded: there is nothing to redrive"
    )
    assert (await cli.tables.get(job_id)).state == "succeeded"


async def test_a_job_is_tuned_while_it_runs(cli: JobsCli) -> None:
    """Concurrency and tolerance, alone or together."""
    job_id = await half_done(cli.tables)
    assert await cli.prints("tune", str(job_id), "--concurrency", "2") == (
        f"job {job_id} does 2 ranges at once and tolerates 1 failed range"
    )
    assert await cli.prints("tune", str(job_id), "--tolerated-failures", "2.5%") == (
        f"job {job_id} does 2 ranges at once and tolerates 2.5 % of the ranges failed"
    )
    assert (await cli.rejects("tune", str(job_id))).startswith("subscriber: nothing to tune: write --concurrency 4")
    assert "write a number of ranges as in 5" in await cli.rejects("tune", str(job_id), "--tolerated-failures", "x")
    await cli.tables.move(job_id, {"running"}, "cancelled")
    assert "is cancelled, so it cannot be changed by tune" in await cli.rejects(
        "tune", str(job_id), "--concurrency", "2"
    )


@pytest.mark.parametrize("command", ["show", "pause", "resume", "cancel", "redrive"])
async def test_an_unknown_job_is_one_sentence(cli: JobsCli, command: str) -> None:
    """With the command that lists them."""
    sentence = "subscriber: there is no job 12345; `subscriber jobs list` shows them"
    assert await cli.rejects(command, "12345") == sentence
    assert "is not in the range" in await cli.rejects(command, "0")
