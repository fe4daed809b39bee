"""`subscriber search`, `exists` and `indexes` on a real database: what they print, and how they end."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from subscriber.adapters.postgres.store import opened_store
from subscriber.cli.main import main
from tests.adapters.postgres.object_rows import NOON, row
from tests.e2e.conftest import plain_schema as plain_schema  # noqa: PLC0414 - a fixture

ODD_KEY = 'a/x,"\x1b[2J\n.csv'


class SearchCli:
    """The commands on a schema of their own."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    async def run(self, *arguments: str, stdin: bytes = b"") -> Result:
        """What became of one command."""
        return await asyncio.to_thread(CliRunner().invoke, main, arguments, env=self.environment, input=stdin)

    async def prints(self, *arguments: str) -> list[str]:
        """The lines that a command that succeeds prints."""
        done = await self.run(*arguments)
        assert (done.exit_code, done.stderr) == (0, "")
        return done.stdout.splitlines()

    async def rejects(self, *arguments: str, code: int = 2) -> str:
        """The sentence of a command that is rejected."""
        done = await self.run(*arguments)
        assert (done.exit_code, done.stdout) == (code, "")
        return done.stderr.strip()


@pytest.fixture
async def cli(postgres_url: str, plain_schema: str, monkeypatch: pytest.MonkeyPatch) -> SearchCli:
    """Five objects of a lake, and a deleted one."""
    # The log is configured for the whole process, which would outlive the test.
    monkeypatch.setattr("subscriber.cli.environment.configure", lambda *_: None)
    options = StoreOptions(url=postgres_url, schema=plain_schema, tls="disable")
    await migrate(options)
    objects = [
        row(bucket="lake", key=key, size_bytes=size, event_time=NOON - timedelta(days=number))
        for number, (key, size) in enumerate(
            [("a/1.csv", 10), ("a/2.json", 2000), ("b/3.csv", 30), ("b/4.csv", 4_000_000), (ODD_KEY, 5)]
        )
    ]
    marker = row(bucket="lake", key="c", version_id="v2", state="delete_marker", size_bytes=None, etag=None)
    async with opened_store(options) as store:
        await store.store([*objects, row(bucket="lake", key="gone", state="removed"), marker])
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SUBSCRIBER_", "AWS_"))}
    return SearchCli(inherited | {"SUBSCRIBER_DATABASE_URL": postgres_url, "SUBSCRIBER_DATABASE_SCHEMA": plain_schema})


async def test_a_table_escapes_what_would_control_the_terminal(cli: SearchCli) -> None:
    """Size, time and key, in the order of keys."""
    assert await cli.prints("search", "s3://lake/a/") == [
        "             10  2026-03-01 12:00:00  a/1.csv",
        "           2000  2026-02-28 12:00:00  a/2.json",
        r"""              5  2026-02-25 12:00:00  a/x,"\x1b[2J\n.csv""",
    ]


async def test_versions_show_their_state(cli: SearchCli) -> None:
    """Of a key whose newest version is a delete marker."""
    assert await cli.prints("search", "s3://lake/c", "--versions") == [
        " " * 15 + "  2026-03-01 12:00:00  delete_marker  latest  v2  c"
    ]
    assert await cli.prints("search", "s3://lake/c") == []


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        (["--suffix", ".csv", "--larger-than", "20B"], "b/3.csv b/4.csv"),
        (["--larger-than", "1.9KB", "--smaller-than", "4MB"], "a/2.json"),
        (["--larger-than", "3.8MiB", "--order", "size"], "b/4.csv"),
        (["--order", "size", "--limit", "2"], "b/4.csv a/2.json"),
        (["--order", "time", "--reverse", "--glob", "b/?.csv"], "b/4.csv b/3.csv"),
        (["--since", "2026-02-27", "--until", "2026-03-01T12:00Z"], "a/2.json b/3.csv"),
        (["--regex", "^b/[3]"], "b/3.csv"),
    ],
)
async def test_options(cli: SearchCli, options: list[str], keys: str) -> None:
    """Each is understood as the help says."""
    done = await cli.run("search", "s3://lake", "--format", "json", *options)
    assert [json.loads(line)["key"] for line in done.stdout.splitlines()] == keys.split()


async def test_the_next_page_is_printed_as_an_argument(cli: SearchCli) -> None:
    """It can be copied; another search refuses it; the last page prints none."""
    first = await cli.run("search", "s3://lake/", "--limit", "3", "--since", "9999d")
    assert len(first.stdout.splitlines()) == 3
    token = first.stderr.split()[-1]
    assert token.startswith("--token=")
    rest = await cli.prints("search", "s3://lake/", "--limit", "3", "--since", "9999d", token)
    assert [line.split()[-1] for line in rest] == ["b/3.csv", "b/4.csv"]
    assert "belongs to another search" in await cli.rejects("search", "s3://lake/b", "--since", "9999d", token)
    assert "is damaged" in await cli.rejects("search", "s3://lake/", "--token", "abc")


async def test_csv_and_parquet_keep_every_character(cli: SearchCli, tmp_path: Path) -> None:
    """Both have all columns, with their types in Parquet."""
    text = (await cli.run("search", "s3://lake", "--all", "--format", "csv")).stdout
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [each["key"] for each in rows] == ["a/1.csv", "a/2.json", ODD_KEY, "b/3.csv", "b/4.csv"]
    assert rows[0]["event_time"] == "2026-03-01T12:00:00Z"
    (tmp_path / "x").write_bytes((await cli.run("search", "s3://lake", "--all", "--format", "parquet")).stdout_bytes)
    table = pyarrow.parquet.read_table(tmp_path / "x")
    assert table.column("key").to_pylist() == [each["key"] for each in rows]
    assert table.column("event_time").to_pylist()[0] == NOON


async def test_nothing_found_is_no_failure(cli: SearchCli, tmp_path: Path) -> None:
    """In every format; a Parquet file without rows is one, too."""
    for form in ("table", "json"):
        assert await cli.prints("search", "s3://lake/none", "--format", form) == []
    (tmp_path / "x").write_bytes((await cli.run("search", "s3://lake/none", "--format", "parquet")).stdout_bytes)
    assert pyarrow.parquet.read_table(tmp_path / "x").num_rows == 0


async def test_an_explanation_searches_nothing(cli: SearchCli) -> None:
    """It offers the index that would help."""
    lines = await cli.prints("search", "s3://lake", "--order", "size", "--explain")
    assert any("subscriber indexes create size" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["search", "lake"], "names no bucket: write s3://BUCKET"),
        (["search", "s3://lake", "--regex", "("], "PostgreSQL rejects the glob or regular expression"),
        (["search", "s3://lake", "--glob", "[x"], "has no ]"),
        (["search", "s3://lake", "--larger-than", "1XB"], "is not a size; write"),
        (["search", "s3://lake", "--since", "yesterday"], "is neither an age nor a time"),
        (["exists"], "name objects, as in s3://BUCKET/KEY"),
        (["exists", "lake/a"], "names no object"),
        (["exists", "s3://lake"], "names no object"),
        (["exists", "s3://lake/\udcff"], "is not UTF-8"),
    ],
)
async def test_mistakes_are_sentences(cli: SearchCli, arguments: list[str], sentence: str) -> None:
    """With exit code 2."""
    assert sentence in await cli.rejects(*arguments)


@pytest.mark.parametrize("arguments", [["search", "s3://lake"], ["exists", "s3://lake/a"]])
async def test_an_older_schema_is_a_sentence(cli: SearchCli, arguments: list[str]) -> None:
    """Exit code 3, and the command that helps."""
    cli.environment["SUBSCRIBER_DATABASE_SCHEMA"] = "no_such_schema"
    assert "run `subscriber migrate`" in await cli.rejects(*arguments, code=3)


async def test_existing_and_missing_objects(cli: SearchCli) -> None:
    """In their order; a missing one is an exit code of its own."""
    done = await cli.run("exists", "s3://lake/b/3.csv", "s3://lake/gone", "s3://other/b/3.csv", "s3://lake/a/1.csv")
    assert (done.exit_code, done.stderr) == (11, "2 of 4 exist\n")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["yes", "no", "no", "yes"]
    done = await cli.run("exists", "s3://lake/b/3.csv", "--format", "json")
    assert (done.exit_code, json.loads(done.stdout)["size_bytes"]) == (0, 30)


@pytest.mark.parametrize(
    ("options", "stdin", "missing"),
    [
        (["--bucket", "lake"], b"a/1.csv\n\na/none\nb/4.csv", ["a/none"]),
        ([], b"s3://lake/a/1.csv\ns3://lake/a/none\n", ["a/none"]),
        (["--bucket", "lake", "--null"], ODD_KEY.encode() + b"\0a\nb\0", ["a\nb"]),
        (["--bucket", "lake"], b"a/1.csv\r\n", ["a/1.csv\r"]),
    ],
)
async def test_keys_come_from_standard_input(
    cli: SearchCli, options: list[str], stdin: bytes, missing: list[str]
) -> None:
    """One a line, taken as it is."""
    done = await cli.run("exists", "--keys", "-", "--missing", "--format", "csv", *options, stdin=stdin)
    assert done.exit_code == 11
    rows = csv.DictReader(io.StringIO(done.stdout, newline=""))
    assert [each["key"] for each in rows] == missing


@pytest.mark.parametrize(
    ("stdin", "sentence"),
    [
        (b"s3://lake/a/1.csv\nx\n", "line 2: 'x' names no object"),
        (b"\n\xff\n", "line 2 is not UTF-8"),
        (b"x" * 100_000, "a line has more than 8192 bytes"),
    ],
)
async def test_a_line_that_names_no_object_is_told_by_its_number(cli: SearchCli, stdin: bytes, sentence: str) -> None:
    """What came before it may be printed already."""
    done = await cli.run("exists", "--keys", "-", stdin=stdin)
    assert done.exit_code == 2
    assert sentence in done.stderr


async def test_indexes_are_switched_on_and_off(cli: SearchCli) -> None:
    """Again does nothing; the list shows the state of each."""
    assert await cli.prints("indexes", "create", "size") == ["the index size is ready"]
    assert await cli.prints("indexes", "create", "size") == ["the index size was there already"]
    others = ["time", "time_blocks", "suffix", "pattern", "metadata"]
    lines = await cli.prints("indexes", "list", "--format", "json")
    listed = {each["name"]: each["state"] for each in map(json.loads, lines)}
    assert listed == {"size": "ready"} | dict.fromkeys(others, "absent")
    assert await cli.prints("indexes", "drop", "size") == ["the index size is dropped"]
    assert await cli.prints("indexes", "drop", "size") == ["there was no index size"]
    table = await cli.prints("indexes", "list")
    assert table[0].split() == ["index", "state", "bytes", "used", "answers"]
    assert len(table) == 7
