"""The benchmark of the search: small runs write their records, and a stream takes no more memory for more rows."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import asyncpg
import msgspec
import pytest

from benchmarks.search.__main__ import Prices, SpeedRecord, main
from benchmarks.search.prices import NO_INDEX
from benchmarks.search.rows import BUCKET, fill, key_of
from benchmarks.search.speed import Stream
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from subscriber.query.indexes import OF_VERSIONS
from testkit.postgres.postgres import LocalPostgres

pytestmark = pytest.mark.usefixtures("untraced")


def test_prices_are_recorded(tmp_path: Path) -> None:
    """Of every index, and of the table without one: an index on sizes ends HOT updates, one on suffixes does not."""
    assert main(["prices", "--rows", "600", "--turns", "2", "--rounds", "1", "--results", str(tmp_path)]) == 0
    (prices,) = msgspec.json.decode((tmp_path / "prices.json").read_bytes(), type=Prices).rounds
    by_name = {each.index: each for each in prices}
    assert list(by_name) == [NO_INDEX, *OF_VERSIONS]
    assert by_name["size"].hot_percent == by_name["time"].hot_percent == 0
    assert by_name["suffix"].hot_percent == by_name[NO_INDEX].hot_percent > 0
    assert (tmp_path / "prices.md").read_text().count("\n") == 3 + len(OF_VERSIONS)


def test_speed_is_recorded(tmp_path: Path) -> None:
    """Every question is answered with and without its index, with the same number of rows."""
    assert main(["speed", "--rows", "6000", "--results", str(tmp_path)]) == 0
    speed = msgspec.json.decode((tmp_path / "speed.json").read_bytes(), type=SpeedRecord).speed
    without = {each.question: each.rows for each in speed.answers if not each.index}
    answered = {each.question: each.rows for each in speed.answers if each.index}
    assert {each.index for each in speed.answers} == {"", *OF_VERSIONS}
    assert answered == {question: without[question] for question in answered}
    assert [each.rows for each in speed.streams] == [5700, 5700]


def test_a_stream_takes_no_more_memory_for_more_rows() -> None:
    """Five times the rows take at most 8 MiB more at the peak of a process of its own, in either order."""
    peaks: dict[str, list[float]] = {"key": [], "size": []}
    with LocalPostgres(durable=False) as server:
        for schema, rows in (("small", 15_000), ("large", 75_000)):
            asyncio.run(_filled(server.url, schema, rows))
            for order, found in peaks.items():
                arguments = ["--url", server.url, "--schema", schema, "--order", order]
                command = [sys.executable, "-m", "benchmarks.search", "stream", *arguments]
                done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
                measured = msgspec.json.decode(done.stdout, type=Stream)
                assert measured.rows == rows * 19 // 20
                found.append(measured.peak_mebibytes)
    assert all(large - small < 8 for small, large in peaks.values())


async def _filled(url: str, schema: str, rows: int) -> None:
    await migrate(StoreOptions(url=url, schema=schema, tls="disable"))
    connection = await asyncpg.connect(url)
    try:
        await fill(connection, schema, rows)
        question = f"SELECT key FROM {schema}.objects WHERE bucket = $1 AND key = $2"
        assert await connection.fetchval(question, BUCKET, key_of(9))
    finally:
        await connection.close()
