"""The baseline: rows of a flood, decoded beforehand, in statements of 1,000 rows over two connections.

    python -m benchmarks.baselines.bulk_insert --messages 300000

There is no queue and no daemon: what remains is what any bulk writer must spend in this database. The bodies are
decoded before the process prints `ready`; then it stores the rows and exits.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
from collections.abc import Iterator
from typing import Final

import asyncpg

from benchmarks.baselines.index_rows import IndexRow, rows_of, upsert
from benchmarks.baselines.service import database_url, say_ready, serve
from testkit.workload.backlogs import BacklogLoad

STATEMENT_ROWS: Final = 1_000
CONNECTIONS: Final = 2


async def work(messages: int) -> None:
    """Stores the rows of a flood of so many messages."""
    load = BacklogLoad("flood", messages)
    rows = itertools.chain.from_iterable(rows_of(load.body(index)) for index in range(messages))
    statements = iter(list(_statements(rows)))
    async with (
        asyncpg.create_pool(database_url(), min_size=CONNECTIONS, max_size=CONNECTIONS) as pool,
        asyncio.TaskGroup() as group,
    ):
        say_ready()
        for number in range(CONNECTIONS):
            group.create_task(_store(pool, statements), name=f"writer {number}")


async def _store(pool: asyncpg.Pool[asyncpg.Record], statements: Iterator[list[IndexRow]]) -> None:
    async with pool.acquire() as connection:
        for rows in statements:  # both writers share the iterator
            await upsert(connection, rows)


def _statements(rows: Iterator[IndexRow]) -> Iterator[list[IndexRow]]:
    while chunk := list(itertools.islice(rows, STATEMENT_ROWS)):
        yield chunk


def main() -> None:
    """Decodes, prints `ready`, stores and exits."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.baselines.bulk_insert", description=__doc__)
    parser.add_argument("--messages", type=int, required=True)
    options = parser.parse_args()
    serve(lambda: work(options.messages))


if __name__ == "__main__":
    main()
