"""`subscriber backfill --inventory` between a real S3 server and a real database."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest
from click.testing import CliRunner

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from subscriber.cli.main import main
from testkit.s3 import BucketSpec, ListingServer
from testkit.s3.inventory import Written, sample_versions, write_inventory
from testkit.s3.raw_client import RawS3

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

DESTINATION = "inventories"
BUCKET = "lake"
PLACE = f"s3://{BUCKET}"


def in_full(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """The arguments of a command: no bucket here sends events, which a new fill asks for."""
    return (*arguments, "--anyway") if "--inventory" in arguments else arguments


class Fill:
    """Inventories on S3, a schema, and the command."""

    def __init__(self, raw: RawS3, folder: Path, database: Database, environment: dict[str, str]) -> None:
        self.schema = environment["SUBSCRIBER_DATABASE_SCHEMA"]
        self.raw = raw
        self.folder = folder
        self.database = database
        self.environment = environment

    def upload(self, rows: int, rows_per_file: int, prefix: str = "dest/") -> str:
        """Put an inventory below a destination prefix that ends in a slash, as S3 does; where its manifest is."""
        how = Written(bucket=BUCKET, rows_per_file=rows_per_file, key_prefix=prefix.rstrip("/"))
        manifest = write_inventory(self.folder, sample_versions(1, rows), how)
        for path in self.folder.rglob("*.*"):
            self.put(path)
        return f"s3://{DESTINATION}/{self.key_of(manifest)}"

    def key_of(self, path: Path) -> str:
        """The key that S3 gives the file: with a doubled slash."""
        return str(path.relative_to(self.folder)).replace("dest/", "dest//", 1)

    def put(self, path: Path, body: bytes | None = None) -> None:
        """Put one file of the inventory."""
        self.raw.call("PUT", f"{DESTINATION}/{self.key_of(path)}", body=path.read_bytes() if body is None else body)

    def object(self, key: str) -> Any:
        """A JSON object."""
        return json.loads(self.raw.call("GET", f"{DESTINATION}/{key}").body)

    async def start(self, *arguments: str, **changed: str) -> asyncio.subprocess.Process:
        """Start the program."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "subscriber", *in_full(arguments)),
            env=self.environment | changed,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a command; in this process, which saves the start of another."""
        inherited = {name: None for name in os.environ if name.startswith(("AWS_", "SUBSCRIBER_"))}
        environment = inherited | self.environment
        done = await asyncio.to_thread(CliRunner().invoke, main, in_full(arguments), env=environment)
        return done.exit_code, done.stdout, done.stderr

    async def has(self, condition: str) -> None:
        """Wait until a query is true."""
        async with asyncio.timeout(60):
            while not await self.database.fetchval(condition):  # noqa: ASYNC110 - in the database
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def writes_wait_at(self, rows: int) -> AsyncIterator[None]:
        """While the block runs, statements that find so many rows in the index wait: the program cannot end."""
        table, key = f"{self.schema}.object_versions", random.getrandbits(31)
        await self.database.execute(
            f"""CREATE FUNCTION {self.schema}.wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    IF (SELECT count(*) FROM {table}) >= {rows} THEN
                        PERFORM pg_advisory_xact_lock_shared({key});
                    END IF;
                    RETURN NULL;
                END $$;
                CREATE TRIGGER wait BEFORE INSERT ON {table} EXECUTE FUNCTION {self.schema}.wait();
                SELECT pg_advisory_lock({key})"""
        )
        yield
        await self.database.execute(
            f"SELECT pg_advisory_unlock({key}); DROP TRIGGER wait ON {table}; DROP FUNCTION {self.schema}.wait()"
        )

    async def end_waiting_sessions(self) -> None:
        """End the sessions that wait in a statement; the server does not notice that their program is gone."""
        await self.database.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )

    async def counts(self) -> tuple[int, int]:
        """Rows of the index, and ranges that are done."""
        rows = await self.database.fetchval("SELECT count(*) FROM object_versions")
        return rows, await self.database.fetchval("SELECT count(*) FROM job_ranges WHERE state = 'succeeded'")


@pytest.fixture
async def fill(
    listing_server: ListingServer, raw_s3: RawS3, tmp_path: Path, postgres_url: str, plain_schema: str
) -> AsyncIterator[Fill]:
    """No inventory yet."""
    listing_server.add_bucket(BucketSpec(DESTINATION))
    await migrate(StoreOptions(url=postgres_url, schema=plain_schema, tls="disable"))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SUBSCRIBER_", "AWS_"))}
    settings = {
        "SUBSCRIBER_DATABASE_URL": postgres_url,
        "SUBSCRIBER_DATABASE_SCHEMA": plain_schema,
        "AWS_ENDPOINT_URL_S3": listing_server.endpoint_url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }
    database = await asyncpg.connect(postgres_url, server_settings={"search_path": plain_schema})
    yield Fill(raw_s3, tmp_path, database, inherited | settings)
    await database.close()


async def test_one_command_fills_the_index(fill: Fill) -> None:
    """From a destination prefix that ends in a slash; again, it adds nothing."""
    place = fill.upload(rows=1500, rows_per_file=500)
    arguments = ("backfill", "--inventory", place, PLACE)
    code, out, err = await fill.run(*arguments)
    assert (code, out) == (0, "job 1 succeeded: 3 of 3 files; 1500 rows read, 1500 added, 0 known before\n")
    assert err.startswith(f"job 1: 3 files of {place}\n")
    assert await fill.counts() == (1500, 3)
    keys = "SELECT count(DISTINCT key) FROM object_versions WHERE key IN ('000123', 'NULL', 'a+b')"
    assert await fill.database.fetchval(keys) == 3
    assert (await fill.run(*arguments))[1].endswith("1500 rows read, 0 added, 1500 known before\n")
    code, out, _ = await fill.run("jobs", "show", "1")
    assert f"inventory    {place}\n" in out
    assert "inventory of s3://lake/ with repair" in out


@pytest.mark.usefixtures("untraced")
async def test_a_killed_process_is_gone_on_with(fill: Fill) -> None:
    """Another one takes its files when their leases are over, and goes on at their positions."""
    place = fill.upload(rows=4000, rows_per_file=2000)
    async with fill.writes_wait_at(400):
        killed = await fill.start("backfill", "--inventory", place, PLACE, SUBSCRIBER_BATCH_MAX_ROWS="20")
        await fill.has("SELECT count(*) >= 400 FROM object_versions")
        killed.send_signal(signal.SIGKILL)
        await killed.communicate()
        await fill.end_waiting_sessions()
    rows, done = await fill.counts()
    assert rows < 4000
    assert done == 0
    await fill.database.execute("UPDATE job_ranges SET lease_until = now() WHERE state = 'running'")
    code, out, _ = await fill.run("backfill", "--job", "1")
    assert code == 0
    listed = await fill.database.fetchval("SELECT sum(listed) FROM job_ranges")
    assert listed == 4000
    assert out.startswith(f"job 1 succeeded: 2 of 2 files; {listed} rows read, ")
    assert await fill.counts() == (4000, 2)


async def test_an_interrupted_process_says_how_to_go_on(fill: Fill) -> None:
    """It gives its files back, so that the next one need not wait."""
    place = fill.upload(rows=4000, rows_per_file=2000)
    async with fill.writes_wait_at(400):
        process = await fill.start("backfill", "--inventory", place, PLACE, SUBSCRIBER_BATCH_MAX_ROWS="20")
        await fill.has("SELECT count(*) >= 400 FROM object_versions")
        process.send_signal(signal.SIGTERM)
    _, err = await process.communicate()
    assert process.returncode == 143
    assert err.endswith(b"stopped early: `subscriber backfill --job 1` goes on where job 1 stopped\n")
    assert (await fill.run("backfill", "--job", "1"))[0] == 0
    assert await fill.counts() == (4000, 2)


async def test_a_failed_file_is_in_the_results_and_redriven_alone(fill: Fill) -> None:
    """The results name it; when it is whole again, only it is read, and the results are new."""
    place = fill.upload(rows=1500, rows_per_file=500)
    damaged = sorted(fill.folder.rglob("*.csv.gz"))[1]
    fill.put(damaged, b"no inventory\n")
    results = f"s3://{DESTINATION}/results"
    code, out, err = await fill.run("backfill", "--inventory", place, "--results", results, PLACE)
    assert (code, out) == (4, "")
    assert f"the results of job 1 are in {results}/job-1/manifest.json\n" in err
    assert "subscriber: job 1 failed in 1 of 3 files (InvalidRow: row 1 of " in err
    assert "`subscriber jobs redrive 1` makes them pending again" in err
    assert "`subscriber backfill --job 1` works on them" in err
    manifest = fill.object("results/job-1/manifest.json")
    assert manifest["DestinationBucket"] == DESTINATION
    failed = fill.object(manifest["ResultFiles"]["FAILED"][0]["Key"])
    key = json.loads(failed[0]["Input"])["Key"]
    assert key.endswith("/data/00000001.csv.gz")
    assert failed[0]["Error"] == "InvalidRow"
    fill.put(damaged)
    code, out, _ = await fill.run("jobs", "redrive", "1")
    assert (code, out.startswith("1 failed range is pending again")) == (0, True)
    folder = str(fill.folder / "results")
    code, out, _ = await fill.run("backfill", "--job", "1", "--results", folder)
    assert code == 0
    local = json.loads((fill.folder / "results/job-1/manifest.json").read_bytes())
    assert local["ItemCounts"] | {"Total": 3} == {
        "Succeeded": 3,
        "Failed": 0,
        "TimedOut": 0,
        "Aborted": 0,
        "Pending": 0,
        "Total": 3,
    }
    assert await fill.counts() == (1500, 3)


@pytest.mark.usefixtures("untraced")
async def test_concurrency_is_tuned_while_it_runs(fill: Fill) -> None:
    """A process has slots for more files than the job lets it."""
    place = fill.upload(rows=6000, rows_per_file=1000)
    arguments = ("backfill", "--inventory", place, "--workers", "1", PLACE)
    async with fill.writes_wait_at(100):
        process = await fill.start(*arguments, SUBSCRIBER_BATCH_MAX_ROWS="10")
        await fill.has("SELECT count(*) >= 100 FROM object_versions")
        assert await fill.database.fetchval("SELECT count(*) FROM job_ranges WHERE state = 'running'") == 1
        assert (await fill.run("jobs", "tune", "1", "--concurrency", "3"))[0] == 0
        await fill.has("SELECT count(*) = 3 FROM job_ranges WHERE state = 'running'")
        process.send_signal(signal.SIGTERM)
    await process.communicate()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--inventory", "x"), 2, "'' names no bucket: write s3://BUCKET"),
        (("--inventory", "x", "--dry-run", PLACE), 2, "--dry-run means nothing with --inventory"),
        (("--inventory", "x", "--job", "1"), 2, "--job means nothing with --inventory"),
        (("--inventory", "x", "lake"), 2, "'lake' names no bucket: write s3://BUCKET"),
        (("--inventory", "https://x/y", PLACE), 4, "InvalidLocation: 'https://x/y' names no file"),
        (("--inventory", "/nowhere/manifest.json", PLACE), 4, "NoSuchKey: no file of the folders"),
        (("--inventory", f"s3://{DESTINATION}/gone/", PLACE), 4, "NoSuchKey: s3://inventories/gone/manifest.json: "),
        (("--job", "9"), 2, "there is no job 9"),
    ],
)
async def test_a_mistake_is_one_sentence(fill: Fill, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    """With the exit code of its kind, and no job."""
    exit_code, out, err = await fill.run("backfill", *arguments)
    assert (exit_code, out, err.count("\n")) == (code, "", 1)
    assert err.startswith(f"subscriber: {sentence}")
    assert await fill.database.fetchval("SELECT count(*) FROM jobs") == 0


async def test_a_bucket_without_subscription_is_refused(fill: Fill, listing_server: ListingServer) -> None:
    """One sentence, exit code 2 and no job, as for a listing."""
    listing_server.add_bucket(BucketSpec(BUCKET))
    place = fill.upload(rows=10, rows_per_file=10)
    queue = {"SUBSCRIBER_QUEUE_URLS": "https://sqs.us-east-1.amazonaws.com/000000000000/events"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "subscriber", "backfill", "--inventory", place, PLACE),
        env=fill.environment | queue,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert (process.returncode, out, err.count(b"\n")) == (2, b"", 1)
    assert b"does not send s3:ObjectCreated:* and s3:ObjectRemoved:*" in err
    assert await fill.database.fetchval("SELECT count(*) FROM jobs") == 0
