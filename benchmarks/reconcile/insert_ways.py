"""What a row costs PostgreSQL by the way it comes: `python -m benchmarks.reconcile.insert_ways`.

The same rows, in the order of keys, by COPY or by the upsert, in one statement or one for each page, from one place of
the keys or from four at once. The ways take turns; each fills an empty table.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final, TypeAlias

import asyncpg
import msgspec

from benchmarks.loadtest.host_info import Machine, this_machine
from benchmarks.reconcile.__main__ import RESULTS
from benchmarks.reconcile.parts import BUCKET, TABLE, Parts, running_parts
from benchmarks.reconcile.record import FOLDER
from subscriber.adapters.postgres.columns import writes_of
from subscriber.adapters.postgres.copy_text import COLUMNS, copy_text
from subscriber.adapters.postgres.statements import statement
from subscriber.model import ListedVersion, RankedVersion
from subscriber.reconcile.empty_range import ranked
from subscriber.reconcile.observation import Moment, observed_events
from testkit.s3.buckets import BucketSpec
from testkit.s3.entries import listed_version
from testkit.s3.generated import GeneratedBucket, GeneratedPlan

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Statement: TypeAlias = Callable[[Database], Awaitable[object]]

_MOMENT: Final = Moment(1_790_000_000)
_PLACES: Final = 4
_FILE: Final = "insert_ways.json"


class Way(msgspec.Struct):
    """One way, and what it cost in each round."""

    name: str
    database_microseconds: list[float] = []
    """CPU for a row, of the whole server."""
    index_bytes: float = 0.0
    """Of the primary key, for a row."""


class Measured(msgspec.Struct):
    """All ways, on one machine."""

    machine: Machine
    rows: int
    ways: list[Way]


def _copy(rows: Sequence[RankedVersion]) -> Statement:
    text = copy_text(BUCKET, rows, _MOMENT.event_name)
    assert text is not None
    schema, _, table = TABLE.partition(".")

    async def run(database: Database) -> object:
        source = _once(text)
        return await database.copy_to_table(table, schema_name=schema, columns=COLUMNS, source=source, format="text")

    return run


def _upsert(rows: Sequence[RankedVersion]) -> Statement:
    stacks = groupby((version for version, _ in rows), key=lambda version: version.key)
    events = [event for _, stack in stacks for event in observed_events(BUCKET, [*stack], _MOMENT)]
    ((name, parameters),) = writes_of(events)
    text = statement(name, "subscriber")

    async def run(database: Database) -> object:
        return await database.execute(text, *parameters)

    return run


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _ways(rows: Sequence[RankedVersion], page: int) -> dict[str, list[list[Statement]]]:
    """Name → the statements of each connection."""
    pages = [rows[begin : begin + page] for begin in range(0, len(rows), page)]
    many = [rows[begin : begin + 4 * page] for begin in range(0, len(rows), 4 * page)]
    copies, upserts = [_copy(each) for each in pages], [_upsert(each) for each in pages]
    return {
        "COPY, one statement": [[_copy(rows)]],
        "COPY, a page": [copies],
        "COPY, a page, four places": _divided(copies),
        "COPY, four pages": [[_copy(each) for each in many]],
        "upsert, a page": [upserts],
        "upsert, a page, four places": _divided(upserts),
    }


def _divided(statements: list[Statement]) -> list[list[Statement]]:
    size = -(-len(statements) // _PLACES)
    return [statements[begin : begin + size] for begin in range(0, len(statements), size)]


async def _fill(parts: Parts, connections: Sequence[Database], ways: list[list[Statement]]) -> float:
    """Fill the empty table; CPU seconds of the server."""
    await connections[0].execute(f"TRUNCATE {TABLE}")
    await connections[0].execute("CHECKPOINT")
    before = parts.postgres_cpu_seconds()
    async with asyncio.TaskGroup() as group:
        for connection, statements in zip(connections, ways, strict=False):
            group.create_task(_run(connection, statements), name="fill")
    return parts.postgres_cpu_seconds() - before


async def _run(connection: Database, statements: Sequence[Statement]) -> None:
    for each in statements:
        await each(connection)


async def measure(parts: Parts, plan: GeneratedPlan, rounds: int, page: int) -> Measured:
    """All ways in turn, so often."""
    listed: list[ListedVersion] = [
        listed_version(entry, is_versions=True) for entry in GeneratedBucket(plan).entries(is_versions=True)
    ]
    rows = ranked(listed, _MOMENT, [""])
    assert rows is not None
    ways = _ways(rows, page)
    found = {name: Way(name, []) for name in ways}
    connections = [await asyncpg.connect(parts.database_url) for _ in range(_PLACES)]
    try:
        for _ in range(rounds):
            for name, statements in ways.items():
                seconds = await _fill(parts, connections, statements)
                found[name].database_microseconds.append(seconds / len(rows) * 1e6)
                size = await connections[0].fetchval(f"SELECT pg_indexes_size('{TABLE}')")
                found[name].index_bytes = size / len(rows)
    finally:
        for connection in connections:
            await connection.close()
    return Measured(this_machine(), len(rows), [*found.values()])


def table(measured: Measured) -> str:
    """The figures in Markdown: the least and the middle of the rounds, because other work only adds."""
    lines = [
        f"{measured.rows:,} rows, {time.strftime('%Y-%m-%d')}, load average {measured.machine.load_after:g}.\n",
        "| way | server CPU for a row, least | median | index for a row |",
        "| --- | ---: | ---: | ---: |",
    ]
    for way in measured.ways:
        least, middle = min(way.database_microseconds), statistics.median(way.database_microseconds)
        lines.append(f"| {way.name} | {least:.2f} µs | {middle:.2f} µs | {way.index_bytes:.0f} bytes |")
    return "\n".join(lines)


def main() -> None:
    """Measure, write the record, print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reconcile.insert_ways", description=__doc__)
    parser.add_argument("--keys", type=int, default=150_000, help="of the bucket; each has 1.7 versions on average")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--page", type=int, default=1_000, help="rows of a page")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder for results")
    options = parser.parse_args()
    plan = GeneratedPlan(options.keys)
    with running_parts(BucketSpec(BUCKET, GeneratedPlan(1))) as parts:
        measured = asyncio.run(measure(parts, plan, options.rounds, options.page))
    folder = options.results / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _FILE).write_bytes(msgspec.json.format(msgspec.json.encode(measured), indent=1) + b"\n")
    print(table(measured))


if __name__ == "__main__":
    main()
