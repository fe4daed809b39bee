"""What makes a row cost what it costs in a database with a life of its own: a trigram index, and a trigger's work.

The index's pending list is short (512 kB of 4 MB by default, PostgreSQL's documentation of GIN), so that every
statement sorts in what it brought. With the default autovacuum does it for all of them, ten seconds on end, now and
then: then a *fixed* limit came out between 66 and 93 %, five seconds against other five, and no law could be told from
another.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import asyncpg

TRIGGER_MICROSECONDS: Final = 120.0
"""For each row. With the row itself and its trigrams that was meant to be about 150, and 60 % of a core about 4,000
rows a second; in a table that grows the row costs more, and the run says what it really was."""

_TRIAL_LOOPS = 400_000
_TRIALS = 5
_BURN: Final = """
CREATE FUNCTION subscriber.burn(loops integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE total bigint := 0;
BEGIN
    FOR number IN 1..loops LOOP total := total + number; END LOOP;
END $$
"""
_TRIGGER: Final = """
CREATE FUNCTION subscriber.burden() RETURNS trigger LANGUAGE plpgsql AS $$
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
    CREATE TRIGGER burden BEFORE INSERT OR UPDATE ON subscriber.object_versions
    FOR EACH ROW EXECUTE FUNCTION subscriber.burden()
    """,
)


def burden(database_url: str) -> None:
    """Puts index and trigger on the table, which must be there; doing it twice is harmless."""
    asyncio.run(_burden(database_url))


async def _burden(database_url: str) -> None:
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
    """One turn of the loop on this machine: the best of a few trials, since whatever disturbs makes it longer."""
    best = float("inf")
    for _ in range(_TRIALS):
        began = time.perf_counter()
        await connection.execute("SELECT subscriber.burn($1)", _TRIAL_LOOPS)
        best = min(best, time.perf_counter() - began)
    return best / _TRIAL_LOOPS * 1e6
