"""Listings and inventories of changing buckets beside their events, through the real upsert into a real PostgreSQL.

Each seed is a bucket whose time is simulated: puts, multipart uploads that are completed late, deletes, undeletes and
permanent deletes; events lost, late, duplicated and reordered; listings whose pages straddle changes; and servers whose
clocks differ. Its events are decoded and folded as the daemon does it. Several seeds run at once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import asyncpg
import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from subscriber.adapters.postgres.store import PostgresStore
from testkit.postgres.postgres import LocalPostgres
from testkit.reconcile.claims import KINDS, broken_claims, bucket_of
from testkit.reconcile.interleaving import Interleaving, Mix
from testkit.reconcile.postgres_index import Connection, PostgresIndex
from testkit.terminal import Screen

AT_ONCE: Final = 4
STEPS: Final = 300
KEYS: Final = ("a", "a/b", "a+b %41", "ü/日本.parquet", "\U00010000", "\uffff", "raw/1", "raw/10", "raw/2", "z=1/ ")
"""The two before `raw/1` lie the other way round in UTF-16."""
LOST: Final = (0.0, 0.2)
"""Half of the seeds lose no event: there the index must be right even before the last reconcile."""
_SCHEMA = "subscriber"


class ObservationsResult(msgspec.Struct):
    """The counts of all seeds together: what is recorded."""

    seeds: int = 0
    first_seed: int = 0
    keys: int = 0
    events: int = 0
    """Events that arrived, with their duplicates."""
    observations: int = 0
    """Listings and inventories that were compared with the index."""
    verdicts: dict[str, int] = msgspec.field(default_factory=dict)
    """Of single keys."""
    wrong: int = 0
    broken: dict[int, list[str]] = msgspec.field(default_factory=dict)
    """What did not hold, by seed."""
    seconds: float = 0.0

    def add(self, seed: int, run: Interleaving, broken: list[str]) -> None:
        """Count one seed."""
        self.seeds += 1
        self.keys += len(run.bucket.keys())
        self.events += run.events
        self.observations += run.observations
        self.verdicts = dict(sorted((Counter(self.verdicts) + run.verdicts).items()))
        self.wrong += len(broken)
        if broken:
            self.broken[seed] = broken

    def describe(self) -> str:
        """One line."""
        return (
            f"{self.seeds} seeds, {self.keys:,} keys, {self.events:,} events, {self.observations:,} observations, "
            f"wrong = {self.wrong}, {self.seconds:.0f} s"
        )


def observations_scenario(seeds: int, first_seed: int, record: Path, screen: Screen) -> bool:
    """Run the seeds, write the record, and return whether nothing was wrong."""
    result = asyncio.run(_result_of(seeds, first_seed))
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    for seed, sentences in sorted(result.broken.items()):
        screen.say(f"  seed {seed}: {sentences[0]}")
    screen.say(result.describe())
    return not result.wrong


async def _result_of(seeds: int, first_seed: int) -> ObservationsResult:
    result = ObservationsResult(first_seed=first_seed)
    began = time.monotonic()
    waiting = iter(range(first_seed, first_seed + seeds))
    with LocalPostgres(durable=False) as postgres:
        options = StoreOptions(url=postgres.url, schema=_SCHEMA, tls="disable", connections_max=AT_ONCE)
        await migrate(options)
        store = PostgresStore(options)
        try:
            await _all_seeds(waiting, store, postgres.url, result)
        finally:
            await store.close()
    result.seconds = round(time.monotonic() - began, 1)
    return result


async def _all_seeds(waiting: Iterator[int], store: PostgresStore, url: str, result: ObservationsResult) -> None:
    async with asyncio.TaskGroup() as workers:
        for number in range(AT_ONCE):
            workers.create_task(_seeds(waiting, store, url, result), name=f"seeds {number}")


async def _seeds(waiting: Iterator[int], store: PostgresStore, url: str, result: ObservationsResult) -> None:
    """Run seeds until none is left."""
    connection = await asyncpg.connect(url, timeout=10, server_settings={"search_path": _SCHEMA})
    try:
        for seed in waiting:
            run = interleaving_of(seed, store, connection)
            result.add(seed, run, await broken_claims(run))
    finally:
        await connection.close(timeout=5)


def interleaving_of(seed: int, store: PostgresStore, connection: Connection) -> Interleaving:
    """The run of this seed, the same each time; others write to the same table meanwhile."""
    random, kind = Random(f"observations/{seed}"), KINDS[seed % len(KINDS)]
    bucket = bucket_of(f"lake-{seed}", random, kind)
    index = PostgresIndex(store, connection, bucket.name, lambda: bucket.now)
    lost = LOST[seed // len(KINDS) % len(LOST)]
    mix = Mix(keys=KEYS, lost=lost, steps=STEPS, may_change_versioning=kind[1])
    return Interleaving(bucket, index, random, mix)
