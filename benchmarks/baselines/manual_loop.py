"""The loop of the SDK tutorials: receive ten, store ten, delete ten, in several workers.

    python -m benchmarks.baselines.manual_loop --queue-url URL --workers 10

It uses aiobotocore's client with its defaults, and a pool with one connection per worker.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

import asyncpg
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from benchmarks.baselines.index_rows import rows_of, upsert
from benchmarks.baselines.service import database_url, say_ready, serve

_MESSAGES = 10
_WAIT_SECONDS = 2


async def work(queue_url: str, workers: int) -> None:
    """Drains the queue until cancelled."""
    config = AioConfig(max_pool_connections=workers)
    async with (
        get_session().create_client("sqs", config=config) as client,
        asyncpg.create_pool(database_url(), min_size=workers, max_size=workers) as pool,
        asyncio.TaskGroup() as group,
    ):
        for number in range(workers):
            group.create_task(_loop(client, pool, queue_url), name=f"worker {number}")
        say_ready()


async def _loop(client: Any, pool: asyncpg.Pool[Any], queue_url: str) -> None:
    while True:
        response = await client.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=_MESSAGES, WaitTimeSeconds=_WAIT_SECONDS
        )
        messages = response.get("Messages", [])
        if not messages:
            continue
        async with pool.acquire() as connection:
            await upsert(connection, [row for message in messages for row in rows_of(message["Body"])])
        entries = [{"Id": message["MessageId"], "ReceiptHandle": message["ReceiptHandle"]} for message in messages]
        await client.delete_message_batch(QueueUrl=queue_url, Entries=entries)


def main() -> None:
    """Drains until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.baselines.manual_loop", description=__doc__)
    parser.add_argument("--queue-url", required=True)
    parser.add_argument("--workers", type=int, default=10)
    options = parser.parse_args()
    serve(lambda: work(options.queue_url, options.workers))


if __name__ == "__main__":
    main()
