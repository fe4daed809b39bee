"""How fast an empty index is filled, and how near that is to COPY and the listing alone."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from benchmarks.listing.__main__ import Variant, list_once
from benchmarks.reconcile.parts import BUCKET, IDLE_DATABASE, TABLE, Parts
from testkit.process import ProcessError

VERSIONS_PER_SECOND: Final = 30_000.0
"""At least."""
CPU_RATIO: Final = 1.3
"""At most."""
_WORKERS: Final = "4"
"""As many as the command has by default."""
_LISTER: Final = Variant("subscriber", (sys.executable, "-m", "benchmarks.listing.clients.ours"), (_WORKERS,))


class BackfillRound(msgspec.Struct, frozen=True):
    """One fill beside its two parts alone. Times are in seconds; CPU times are user and system."""

    versions: int
    seconds: float
    """Wall time of the command, its start included."""
    cpu_seconds: float
    """Of the command, its start included."""
    database_cpu_seconds: float
    server_cpu_seconds: float
    """Of the listing server; in no ratio."""
    peak_bytes: int
    copy_seconds: float
    copy_cpu_seconds: float
    """Of the client, which sends a file in PostgreSQL's binary format."""
    copy_database_cpu_seconds: float
    list_seconds: float
    list_cpu_seconds: float
    """Of the lister, without its start."""

    @property
    def versions_per_second(self) -> float:
        """Rows that are in the table for each second of wall time."""
        return self.versions / self.seconds

    @property
    def cpu_ratio(self) -> float:
        """CPU of command and database, divided by that of COPY, its database and the listing."""
        used = self.cpu_seconds + self.database_cpu_seconds
        return used / (self.copy_cpu_seconds + self.copy_database_cpu_seconds + self.list_cpu_seconds)


def measure_backfill(parts: Parts) -> BackfillRound:
    """Fill the empty index by the command; then list alone; then COPY the same rows into the emptied table.

    Raises:
        ProcessError: the command failed, or the three do not have the same number of versions.
    """
    parts.empty_table()
    filled = parts.run("backfill", f"s3://{BUCKET}", settings=IDLE_DATABASE)
    versions = int(parts.value(f"SELECT count(*) FROM {TABLE}"))
    listed = list_once(_LISTER, "versions", parts.server)
    with tempfile.NamedTemporaryFile(prefix="subscriber-rows-") as file:
        asyncio.run(_export(parts.database_url, Path(file.name)))
        parts.empty_table()
        before = parts.postgres_cpu_seconds()
        copied, seconds, cpu_seconds = asyncio.run(_copy(parts.database_url, Path(file.name)))
        database_cpu_seconds = parts.postgres_cpu_seconds() - before
    if not versions == filled.counter("written") == listed.entries == copied:
        raise ProcessError(f"{versions} rows, {filled.counter('written')} written, {listed.entries} listed, {copied}")
    return BackfillRound(
        versions=versions,
        seconds=filled.seconds,
        cpu_seconds=filled.cpu_seconds,
        database_cpu_seconds=filled.database_cpu_seconds,
        server_cpu_seconds=filled.server_cpu_seconds,
        peak_bytes=filled.peak_bytes,
        copy_seconds=seconds,
        copy_cpu_seconds=cpu_seconds,
        copy_database_cpu_seconds=database_cpu_seconds,
        list_seconds=listed.seconds,
        list_cpu_seconds=listed.cpu_seconds,
    )


async def _export(database_url: str, path: Path) -> None:
    """Write the rows to a file, in the order of the listing."""
    connection = await asyncpg.connect(database_url)
    try:
        query = f"SELECT * FROM {TABLE} ORDER BY bucket, key, version_id"
        await connection.copy_from_query(query, output=path, format="binary")
    finally:
        await connection.close()


async def _copy(database_url: str, path: Path) -> tuple[int, float, float]:
    """COPY a file into the table: rows, seconds, and CPU seconds of this process."""
    connection = await asyncpg.connect(database_url)
    try:
        schema, _, table = TABLE.partition(".")
        begun, cpu = time.monotonic(), time.process_time()
        done = await connection.copy_to_table(table, schema_name=schema, source=path, format="binary")
        return int(done.split()[-1]), time.monotonic() - begun, time.process_time() - cpu
    finally:
        await connection.close()
