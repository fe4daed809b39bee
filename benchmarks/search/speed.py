"""How long the questions of readers take, in one large table, without an optional index and with its own."""

from __future__ import annotations

import asyncio
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from random import Random
from typing import Final

import asyncpg
import msgspec

from benchmarks.search.rows import BEGAN_AT, BUCKET, fill, key_of
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.index_builds import IndexBuilds
from subscriber.adapters.postgres.migrations import migrate
from subscriber.query.indexes import OF_VERSIONS, relation_name
from subscriber.query.reader import Search, opened_search
from subscriber.query.search_query import Query
from testkit.postgres.postgres import LocalPostgres

PAGE_ROWS: Final = 1000
LOOK_UP_KEYS: Final = 1000
TIMEOUT_SECONDS: Final = 600.0
_SLOW_SECONDS: Final = 1.0
_REPEATS: Final = 20
_REPEATS_OF_SLOW: Final = 2


class Answer(msgspec.Struct, frozen=True):
    """One question."""

    question: str
    index: str
    """The optional index that was on; "" for none."""
    milliseconds: float
    """Median, elapsed, from the call of the Python function to its rows."""
    server_milliseconds: float
    """CPU of the server for one of them."""
    rows: int


class Stream(msgspec.Struct, frozen=True):
    """All rows of the bucket, in a process of its own."""

    order: str
    rows: int
    seconds: float
    cpu_seconds: float
    peak_mebibytes: float


class Speed(msgspec.Struct, frozen=True):
    """One run."""

    table_rows: int
    answers: list[Answer]
    streams: list[Stream]


def measure_speed(rows: int) -> Speed:
    """Fill a table and ask."""
    settings = {"shared_buffers": "512MB", "max_wal_size": "64GB"}
    with LocalPostgres(durable=False, settings=settings) as server:
        answers = asyncio.run(_ask(server, rows))
        streams = [_stream_elsewhere(server.url, order) for order in ("key", "size")]
    return Speed(rows, answers, streams)


async def _ask(server: LocalPostgres, rows: int) -> list[Answer]:
    options = StoreOptions(url=server.url, tls="disable")
    await migrate(options)
    connection = await asyncpg.connect(server.url)
    await fill(connection, options.schema, rows)
    await connection.execute("CREATE EXTENSION pg_trgm")
    newest = BEGAN_AT + timedelta(seconds=7 * rows)
    queries = {
        "page of a prefix": ("", Query(bucket=BUCKET, prefix="raw/day=042/")),
        "page of the whole bucket": ("", Query(bucket=BUCKET)),
        "largest": ("size", Query(bucket=BUCKET, order="size")),
        "larger than 4.29 GB, about 0.1 %": ("size", Query(bucket=BUCKET, larger_than_bytes=4_290_000_000)),
        "newest": ("time", Query(bucket=BUCKET, order="time")),
        "changed in the last 0.1 %": ("time", Query(bucket=BUCKET, since=newest - timedelta(seconds=7 * rows // 1000))),
        "the same, by blocks": (
            "time_blocks",
            Query(bucket=BUCKET, since=newest - timedelta(seconds=7 * rows // 1000)),
        ),
        "rare suffix": ("suffix", Query(bucket=BUCKET, suffix="77ff.csv")),
        "rare glob": ("pattern", Query(bucket=BUCKET, glob="**/part-*7ffab*.csv")),
    }
    async with opened_search(options, TIMEOUT_SECONDS) as search:
        answers = [await _look_up(server, search, rows), await _join(server, connection, rows)]
        for question, (_, query) in queries.items():
            answers.append(await _page(server, search, (question, ""), query))
        for index in OF_VERSIONS:
            await _switch_on(options, index)
            await connection.execute(f"ANALYZE {options.schema}.object_versions")
            asked = [(question, query) for question, (wanted, query) in queries.items() if wanted == index]
            answers += [await _page(server, search, (question, index), query) for question, query in asked]
            await IndexBuilds(options).drop(relation_name(index))
    await connection.close()
    return answers


async def _switch_on(options: StoreOptions, name: str) -> None:
    index = OF_VERSIONS[name]
    await IndexBuilds(options).create(relation_name(name), index.definition, lambda _: None, extension=index.extension)


async def _page(server: LocalPostgres, search: Search, name: tuple[str, str], query: Query) -> Answer:
    async def ask() -> int:
        return len((await search.page(query, PAGE_ROWS)).rows)

    return await _timed(server, name, ask)


async def _look_up(server: LocalPostgres, search: Search, rows: int) -> Answer:
    """Keys that are spread over the table, a tenth of which it has not."""
    random = Random(4)

    async def ask() -> int:
        keys = [key_of(random.randrange(rows * 10 // 9)) for _ in range(LOOK_UP_KEYS)]
        return sum(row.exists for row in await search.look_up(BUCKET, keys))

    return await _timed(server, (f"which of {LOOK_UP_KEYS} keys exist", ""), ask)


async def _join(server: LocalPostgres, connection: asyncpg.Connection[asyncpg.Record], rows: int) -> Answer:
    """The same by a join with the view `objects`, as readers write it first."""
    keys = [key_of(number) for number in Random(4).sample(range(rows), LOOK_UP_KEYS)]
    text = (
        "SELECT key, size_bytes FROM unnest($1::text[], $2::text[]) AS wanted (bucket, key) "
        "JOIN subscriber.objects USING (bucket, key)"
    )

    async def ask() -> int:
        return len(await connection.fetch(text, [BUCKET] * len(keys), keys))

    return await _timed(server, (f"{LOOK_UP_KEYS} keys joined with the view objects", ""), ask)


async def _timed(server: LocalPostgres, name: tuple[str, str], ask: Callable[[], Awaitable[int]]) -> Answer:
    """Ask once to warm up, and then several times, a slow question fewer times."""
    began = time.perf_counter()
    rows = await ask()
    repeats = _REPEATS if time.perf_counter() - began < _SLOW_SECONDS else _REPEATS_OF_SLOW
    elapsed = []
    cpu = server.cpu_seconds()
    for _ in range(repeats):
        began = time.perf_counter()
        rows = await ask()
        elapsed.append(time.perf_counter() - began)
    cpu = server.cpu_seconds() - cpu
    answer = Answer(*name, statistics.median(elapsed) * 1e3, cpu / repeats * 1e3, rows)
    print(answer, file=sys.stderr, flush=True)
    return answer


def _stream_elsewhere(url: str, order: str) -> Stream:
    command = [sys.executable, "-m", "benchmarks.search", "stream", "--url", url, "--order", order]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Stream)


async def stream(url: str, schema: str, order: str) -> Stream:
    """Take all rows of the bucket in this process, and forget them."""
    query = Query(bucket=BUCKET, order="size" if order == "size" else "key")
    began, rows = time.perf_counter(), 0
    async with opened_search(StoreOptions(url=url, schema=schema, tls="disable"), TIMEOUT_SECONDS) as search:
        async for batch in search.batches(query):
            rows += len(batch)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kilobytes on Linux (getrusage(2))
    return Stream(order, rows, time.perf_counter() - began, time.process_time(), peak)


def speed_table(speed: Speed) -> str:
    """Both parts in Markdown."""
    lines = [
        f"A table of {speed.table_rows:,} rows; pages of {PAGE_ROWS} rows.",
        "",
        "| question | index | elapsed ms | server's CPU ms | rows |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {each.question} | {each.index or 'none of the optional ones'} | {each.milliseconds:.1f} "
        f"| {each.server_milliseconds:.1f} | {each.rows} |"
        for each in speed.answers
    ]
    lines += ["", "| all rows, in the order of | rows | rows/s | client's CPU µs a row | client's peak MiB |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    lines += [
        f"| {each.order} | {each.rows:,} | {each.rows / each.seconds:,.0f} "
        f"| {each.cpu_seconds / each.rows * 1e6:.1f} | {each.peak_mebibytes:.0f} |"
        for each in speed.streams
    ]
    return "\n".join(lines)
