"""`subscriber count`, `du` and `features` on a real database: what they print, and how they end."""

from __future__ import annotations

import asyncio
import json
import os
import re
from typing import TypeAlias

import asyncpg
import pytest
from click.testing import CliRunner, Result

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from subscriber.adapters.postgres.store import opened_store
from subscriber.cli.main import main
from subscriber.features import Usage
from subscriber.query.usage import rolled_up
from tests.adapters.postgres.object_rows import row
from tests.e2e.conftest import plain_schema as plain_schema  # noqa: PLC0414 - a fixture

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class CountCli:
    """The commands on a schema of their own."""

    def __init__(self, options: StoreOptions) -> None:
        self.options = options
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("SUBSCRIBER_")}
        self.environment = inherited | {
            "SUBSCRIBER_DATABASE_URL": options.url,
            "SUBSCRIBER_DATABASE_SCHEMA": options.schema,
            "SUBSCRIBER_DATABASE_TLS": "disable",
        }

    async def run(self, *arguments: str) -> Result:
        """What became of one command."""
        return await asyncio.to_thread(CliRunner().invoke, main, arguments, env=self.environment)

    async def prints(self, *arguments: str) -> list[str]:
        """The lines that a command that succeeds prints."""
        done = await self.run(*arguments)
        assert (done.exit_code, done.stderr) == (0, "")
        return done.stdout.splitlines()

    async def rejects(self, *arguments: str) -> str:
        """The sentence of a command that is rejected."""
        done = await self.run(*arguments)
        assert (done.exit_code, done.stdout) == (2, "")
        return done.stderr.strip()


@pytest.fixture
async def cli(postgres_url: str, plain_schema: str, monkeypatch: pytest.MonkeyPatch) -> CountCli:
    """Six objects of a lake, one with versions, and the feature is off."""
    # The log is configured for the whole process, which would outlive the test.
    monkeypatch.setattr("subscriber.cli.environment.configure", lambda *_: None)
    options = StoreOptions(url=postgres_url, schema=plain_schema, tls="disable")
    await migrate(options)
    sizes = {"top": 1, "raw/a/1": 10, "raw/a/2": 20, "raw/b/c/3": 300, "logs/x": 4000}
    rows = [row(bucket="lake", key=key, size_bytes=size) for key, size in sizes.items()]
    rows += [row(bucket="lake", key="raw/v", version_id=version, size_bytes=5) for version in ("v1", "v2")]
    async with opened_store(options) as store:
        await store.store(rows)
    connection = await asyncpg.connect(postgres_url)
    text = f"UPDATE \"{plain_schema}\".object_versions SET storage_class = 'GLACIER' WHERE key = 'raw/a/1'"
    await connection.execute(text)
    await connection.close()
    return CountCli(options)


async def test_without_the_feature_a_count_is_an_estimate_or_a_scan(cli: CountCli) -> None:
    """It says which; a tree needs the feature."""
    first, second = await cli.prints("count", "s3://lake/raw/")
    assert re.fullmatch(r"s3://lake/raw/: about \d+ rows, which is an estimate", first)
    assert second.startswith("  PostgreSQL has never counted the table; versions, delete markers and removed rows")
    assert await cli.prints("count", "s3://lake/raw/", "--exact") == [
        "s3://lake/raw/: 4 objects, 335 bytes, exact by reading all of it",
        "  5 versions, 340 bytes; 0 delete markers",
    ]
    assert "counters are off: `subscriber features enable usage`" in await cli.rejects("du", "s3://lake")


async def test_an_estimate_names_the_age_of_its_statistics(cli: CountCli) -> None:
    """A figure of the planner is as old as the last ANALYZE."""
    connection = await asyncpg.connect(cli.options.url)
    await connection.execute(f'ANALYZE "{cli.options.schema}".object_versions')
    await connection.close()
    (found,) = await cli.prints("count", "s3://lake", "--format", "json")
    answer = json.loads(found)
    assert (answer["source"], answer["usage"]) == ("estimate", None)
    assert answer["estimated_rows"] >= 1
    assert answer["analyzed_at"] is not None
    assert "by statistics of " in (await cli.prints("count", "s3://lake"))[1]


async def test_the_feature_counts_and_shows_a_tree(cli: CountCli) -> None:
    """Folders within the depth are exact at once; what lies deeper is in the folder above it."""
    assert await cli.prints("features", "enable", "usage") == ["the feature usage is on"]
    assert await cli.prints("features", "enable", "usage") == ["the feature usage was on already; its options stay"]
    assert await cli.prints("count", "s3://lake") == [
        "s3://lake/: 6 objects, 4336 bytes, exact by the counters",
        "  7 versions, 4341 bytes; 0 delete markers",
        "  class unknown: 5 objects, 4326 bytes; 6 versions, 4331 bytes",
        "  GLACIER: 1 objects, 10 bytes; 1 versions, 10 bytes",
    ]
    cold = await cli.prints("du", "s3://lake", "--depth", "2", "--storage-class", "GLACIER", "--format", "csv")
    assert cold[1:] == ["lake,,1,10,1,10,0", "lake,raw/,1,10,1,10,0", "lake,raw/a/,1,10,1,10,0"]
    assert (await cli.prints("count", "s3://lake/raw/b/"))[0] == (
        "s3://lake/raw/b/: 1 objects, 300 bytes, exact by the counters"
    )
    assert "estimate" in (await cli.prints("count", "s3://lake/raw/b/c/"))[0]
    assert "estimate" in (await cli.prints("count", "s3://lake/ra"))[0]
    tree = await cli.prints("du", "s3://lake", "--depth", "2")
    assert [line.split()[-1] for line in tree] == ["folder", "s3://lake/", "logs/", "raw/", "raw/b/", "raw/a/"]
    assert tree[3].split()[:4] == ["335", "4", "340", "5"]
    below = await cli.prints("du", "s3://lake/raw/", "--sort", "name", "--format", "csv")
    assert below[0] == "bucket,folder,objects,object_bytes,versions,version_bytes,delete_markers"
    assert below[1:] == ["lake,raw/,4,335,5,340,0", "lake,raw/a/,2,30,2,30,0", "lake,raw/b/,1,300,1,300,0"]
    (only,) = (await cli.run("du", "s3://lake", "--limit", "1", "--format", "json")).stdout.splitlines()
    assert json.loads(only)["objects"] == 6
    assert "is none of them" in await cli.rejects("du", "s3://lake/raw/b/c/")


async def test_a_rebuild_names_what_was_wrong(cli: CountCli) -> None:
    """With an exit code of its own; afterwards all is right."""
    assert "is off: `subscriber features enable usage`" in await cli.rejects("features", "rebuild", "usage")
    await cli.prints("features", "enable", "usage", "--depth", "1")
    assert await cli.prints("features", "rebuild", "usage") == ["the counters are equal to a count of every row"]
    connection = await asyncpg.connect(cli.options.url)
    await connection.execute(f"UPDATE \"{cli.options.schema}\".usage_totals SET objects = 9 WHERE folder = 'logs/'")
    await connection.close()
    done = await cli.run("features", "rebuild", "usage")
    assert (done.exit_code, done.stdout) == (10, "s3://lake/logs/ (class unknown): objects 9 → 1\n")
    assert done.stderr == "the counters of 1 folders were wrong; they are right now\n"
    assert await cli.prints("features", "rebuild", "usage") == ["the counters are equal to a count of every row"]
    header, line, *_ = await cli.prints("features", "list")
    assert header.split()[:2] == ["feature", "state"]
    assert line.split()[:4] == ["usage", "on", "depth", "1"]
    assert await cli.prints("features", "disable", "usage") == ["the feature usage is off"]
    found, *_ = await cli.prints("features", "list", "--format", "json")
    assert json.loads(found)["state"] == "off"


def test_what_lies_in_folders_adds_up() -> None:
    """Each folder counts all deeper ones; a folder without objects of its own has a line too."""
    one, two = Usage(1, 10, 1, 10, 0), Usage(2, 20, 3, 30, 1)
    assert rolled_up([("a/b/", one), ("a/c/d/", two)], "") == {
        "": one.plus(two),
        "a/": one.plus(two),
        "a/b/": one,
        "a/c/": two,
        "a/c/d/": two,
    }
    assert rolled_up([], "a/") == {"a/": Usage()}
