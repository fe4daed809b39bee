"""What each optional index or feature costs the writers: CPU of the server and WAL for a row, with and without it.

Every variant has a schema of its own in one server, and the variants take turns, some thousand rows at a time, so that
other work on the machine disturbs all alike. The rows are written by the daemon's own statement. Autovacuum and
checkpoints are off: they would fall to whoever has the turn.
"""

from __future__ import annotations

import asyncio
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final

import asyncpg
import msgspec

from benchmarks.search.rows import batches
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.features import Features
from subscriber.adapters.postgres.index_builds import IndexBuilds
from subscriber.adapters.postgres.migrations import migrate
from subscriber.adapters.postgres.store import PostgresStore, opened_store
from subscriber.adapters.postgres.usage import count_anew
from subscriber.features import CATALOG as FEATURES
from subscriber.features import options_of
from subscriber.model import ObjectEvent
from subscriber.query.indexes import OF_VERSIONS, relation_name
from testkit.postgres.postgres import LocalPostgres

NO_INDEX: Final = "none"
EVERY: Final = 10
"""One object of so many is overwritten: the pages have room for it, as in a table that is vacuumed."""
OVERWRITES: Final = 10
_SETTINGS: Final[Mapping[str, str]] = {
    "autovacuum": "off",
    "shared_buffers": "512MB",
    "max_wal_size": "64GB",
    "checkpoint_timeout": "1d",
}


class Price(msgspec.Struct, frozen=True):
    """Of one variant in one round."""

    index: str
    insert_microseconds: float
    """CPU of the server for a new row."""
    overwrite_microseconds: float
    """CPU of the server for a row that gets another size, time and ETag."""
    insert_wal_bytes: float
    overwrite_wal_bytes: float
    hot_percent: float
    """Overwrites that touched no index."""
    index_bytes: float
    """Of the index alone, for a row, after the inserts."""


class _Variant:
    """A schema with one index, and what its turns cost."""

    def __init__(self, name: str, store: PostgresStore, options: StoreOptions) -> None:
        self.name = name
        self.store = store
        self.options = options
        self.cpu_seconds = 0.0
        self.wal_bytes = 0

    async def turn(
        self, server: LocalPostgres, watch: asyncpg.Connection[asyncpg.Record], groups: Iterable[list[ObjectEvent]]
    ) -> None:
        """Write some batches."""
        lsn, cpu = await watch.fetchval("SELECT pg_current_wal_insert_lsn()::text"), server.cpu_seconds()
        for group in groups:
            await self.store.store(group)
        self.cpu_seconds += server.cpu_seconds() - cpu
        text = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1::text::pg_lsn)::bigint"
        self.wal_bytes += await watch.fetchval(text, lsn)

    def take(self, rows: int) -> tuple[float, float]:
        """Microseconds and bytes of WAL for a row since the last call."""
        cost = self.cpu_seconds / rows * 1e6, self.wal_bytes / rows
        self.cpu_seconds, self.wal_bytes = 0.0, 0
        return cost


def measure_prices(rows: int, batch_rows: int, turns: int, names: Sequence[str]) -> list[Price]:
    """One round on a new server.

    Args:
        rows: inserted for each variant; then one in EVERY is overwritten OVERWRITES times.
        batch_rows: of a statement.
        turns: into how many parts the inserted rows are divided.
        names: of the optional indexes or features that are compared with a table without any.
    """
    with LocalPostgres(durable=False, settings=_SETTINGS) as server:
        return asyncio.run(_measure(server, rows, batch_rows, turns, names))


async def _measure(server: LocalPostgres, rows: int, batch_rows: int, turns: int, names: Sequence[str]) -> list[Price]:
    watch = await asyncpg.connect(server.url)
    await watch.execute("CREATE EXTENSION pg_trgm")
    async with AsyncExitStack() as stack:
        variants = [await _variant(stack, server.url, name) for name in (NO_INDEX, *names)]
        share = rows // turns
        parts = [(range(turn * share, (turn + 1) * share), 0) for turn in range(turns)]
        inserted = await _phase(server, watch, variants, parts, batch_rows)
        sizes = {each.name: await _index_bytes(watch, each) / rows for each in variants}
        for each in variants:
            await watch.execute(f"VACUUM ANALYZE {each.options.schema}.object_versions")
        again = [(range(0, rows, EVERY), version) for version in range(1, OVERWRITES + 1)]
        overwritten = await _phase(server, watch, variants, again, batch_rows)
    hot = {each.name: await _hot_percent(watch, each) for each in variants}
    await watch.close()
    return [
        Price(
            name,
            inserted[name][0],
            overwritten[name][0],
            inserted[name][1],
            overwritten[name][1],
            hot[name],
            sizes[name],
        )
        for name in sizes
    ]


async def _variant(stack: AsyncExitStack, url: str, name: str) -> _Variant:
    options = StoreOptions(url=url, schema=f"with_{name}", tls="disable", write_timeout_seconds=120.0)
    await migrate(options)
    if name in FEATURES:
        await Features(options).enable(name, options_of(name, {}))
        if name == "usage":
            await count_anew(options)
    elif name != NO_INDEX:
        index = OF_VERSIONS[name]
        await IndexBuilds(options).create(
            relation_name(name), index.definition, lambda _: None, extension=index.extension
        )
    return _Variant(name, await stack.enter_async_context(opened_store(options)), options)


async def _phase(
    server: LocalPostgres,
    watch: asyncpg.Connection[asyncpg.Record],
    variants: list[_Variant],
    parts: Sequence[tuple[range, int]],
    batch_rows: int,
) -> dict[str, tuple[float, float]]:
    """Write each part into each variant, in turns; another variant begins each time."""
    for turn, (numbers, version) in enumerate(parts):
        groups = list(batches(numbers, batch_rows, version))
        first = turn % len(variants)
        for each in variants[first:] + variants[:first]:
            await each.turn(server, watch, groups)
    rows = sum(len(numbers) for numbers, _ in parts)
    return {each.name: each.take(rows) for each in variants}


async def _index_bytes(watch: asyncpg.Connection[asyncpg.Record], variant: _Variant) -> int:
    relation = f"{variant.options.schema}.{relation_name(variant.name)}"
    return int(await watch.fetchval("SELECT coalesce(pg_relation_size(to_regclass($1)), 0)", relation))


async def _hot_percent(watch: asyncpg.Connection[asyncpg.Record], variant: _Variant) -> float:
    text = """SELECT 100.0 * n_tup_hot_upd / greatest(n_tup_upd, 1) FROM pg_stat_all_tables
        WHERE schemaname = $1 AND relname = 'object_versions'"""
    return float(await watch.fetchval(text, variant.options.schema))


def _ratio(value: float, plain: float) -> float:
    """The server's CPU has a resolution of a hundredth of a second: of a few rows it may be 0."""
    return value / plain if plain else math.nan


def prices_table(rounds: Iterable[list[Price]]) -> str:
    """Medians of the rounds, in Markdown; ratios are to the table without an index."""
    by_name: dict[str, list[Price]] = {}
    for each in rounds:
        for price in each:
            by_name.setdefault(price.index, []).append(price)
    lines = [
        "| index | new row: server µs | ratio | WAL B | overwrite: server µs | ratio | WAL B | HOT | index B a row |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, prices in by_name.items():
        ratios = [
            statistics.median(
                _ratio(getattr(price, field), getattr(plain, field))
                for price, plain in zip(prices, by_name[NO_INDEX], strict=True)
            )
            for field in ("insert_microseconds", "overwrite_microseconds")
        ]
        middle = {
            field: statistics.median(getattr(price, field) for price in prices)
            for field in Price.__struct_fields__
            if field != "index"
        }
        lines.append(
            f"| {name} | {middle['insert_microseconds']:.1f} | {ratios[0]:.2f} | {middle['insert_wal_bytes']:.0f} "
            f"| {middle['overwrite_microseconds']:.1f} | {ratios[1]:.2f} | {middle['overwrite_wal_bytes']:.0f} "
            f"| {middle['hot_percent']:.0f} % | {middle['index_bytes']:.0f} |"
        )
    return "\n".join(lines)
