"""Makes rows as expensive as in a production database: adds a trigram index, and a trigger that burns CPU.

The pending list of the index is short (512 kB; the default is 4 MB, PostgreSQL's documentation of GIN), so every
statement merges its own entries. With the default, autovacuum merges those of many statements, for ten seconds at a
time: then the CPU at a *fixed* limit varied between 66 and 93 % from one five seconds to the next, and controllers
could not be told apart.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import asyncpg

TRIGGER_MICROSECONDS: Final = 120.0
"""Per row. With the row itself and its trigrams the goal was about 150, so that 60 % of a core store about 4,000 rows
per second; in a growing table a row costs more, and the result reports the measured cost."""

_CALIBRATION_LOOPS = 400_000
_CALIBRATIONS = 5
_BURN: Final = """
CREATE FUNCTION subscriber.burn(loops integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE total bigint := 0;
BEGIN
    FOR number IN 1..loops LOOP total := total + number; END LOOP;
END $$
"""
_TRIGGER: Final = """
CREATE FUNCTION subscriber.burn_cpu_per_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM subscriber.burn({loops});
    RETURN NEW;
END $$
"""
_ATTACHED: Final = (
    "CREATE EXTENSION pg_trgm",
    """
    CREATE INDEX object_versions_key_trigrams ON subscriber.object_versions
    USING gin (key gin_trgm_ops) WITH (gin_pending_list_limit = 512)
    """,
    """
    CREATE TRIGGER burn_cpu_per_row BEFORE INSERT OR UPDATE ON subscriber.object_versions
    FOR EACH ROW EXECUTE FUNCTION subscriber.burn_cpu_per_row()
    """,
)


def make_rows_expensive(database_url: str) -> None:
    """Adds index and trigger to the table, which must exist; a second call does nothing."""
    asyncio.run(_make_rows_expensive(database_url))


async def _make_rows_expensive(database_url: str) -> None:
    connection = await asyncpg.connect(database_url, timeout=10, command_timeout=60)
    try:
        if await connection.fetchval("SELECT to_regproc('subscriber.burn') IS NOT NULL"):
            return
        await connection.execute(_BURN)
        loops = round(TRIGGER_MICROSECONDS / await _loop_microseconds(connection))
        await connection.execute(_TRIGGER.format(loops=max(1, loops)))
        for command in _ATTACHED:
            await connection.execute(command)
    finally:
        await connection.close()


async def _loop_microseconds(connection: asyncpg.Connection[Any]) -> float:
    """Microseconds per loop iteration on this machine: the fastest of a few measurements, as disturbances only add."""
    best = float("inf")
    for _ in range(_CALIBRATIONS):
        began = time.perf_counter()
        await connection.execute("SELECT subscriber.burn($1)", _CALIBRATION_LOOPS)
        best = min(best, time.perf_counter() - began)
    return best / _CALIBRATION_LOOPS * 1e6
