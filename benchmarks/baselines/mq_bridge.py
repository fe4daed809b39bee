"""mq-bridge, a third-party bridge from queues to databases with a core in Rust, as an operator would configure it.

    .lab/mq-bridge/bin/python -m benchmarks.baselines.mq_bridge --queue-url URL --concurrency 1

It runs in its own environment and so imports nothing of this project. mq-bridge writes several columns in two ways.
Here it uses the fast one, `columns` with `key`: an INSERT … ON CONFLICT DO UPDATE of up to 512 rows, without the guard
that keeps the newer row. The other, an `insert_query`, can hold the guard; but if a column needs a cast, as
`event_time` does, mq-bridge runs such a query once per row. In a flood each object has one event: both ways end in the
same table, and only there are they comparable.
"""

from __future__ import annotations

import argparse
import os
import signal

import mq_bridge

BATCH_SIZE = 512
"""Its default, written out."""
CONNECTIONS = 10
"""Its default; more if more batches are written concurrently."""
_WAIT_SECONDS = 2


def route(queue_url: str, concurrency: int) -> dict[str, object]:
    """From the queue into the table, in the terms of mq-bridge's `config_schema`."""
    return {
        "input": {
            "aws": {
                "queue_url": queue_url,
                "endpoint_url": os.environ["AWS_ENDPOINT_URL_SQS"],
                "region": os.environ["AWS_REGION"],
                "max_messages": 10,
                "wait_time_seconds": _WAIT_SECONDS,
            }
        },
        "output": {
            "sqlx": {
                "url": os.environ["BASELINE_DATABASE_URL"],
                "table": "subscriber.object_versions",
                "columns": "auto",
                "key": "bucket,key,version_id",
                "max_connections": max(CONNECTIONS, concurrency),
            }
        },
        "batch_size": BATCH_SIZE,
        "concurrency": concurrency,
    }


def main() -> None:
    """Drains until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.baselines.mq_bridge", description=__doc__)
    parser.add_argument("--queue-url", required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    options = parser.parse_args()
    mq_bridge.init_logging()  # it reports dropped rows in its log only
    running = mq_bridge.Route.from_config(route(options.queue_url, options.concurrency))
    signal.signal(signal.SIGTERM, lambda *_: running.stop())
    running.start()
    print("ready", flush=True)
    running.join()


if __name__ == "__main__":
    main()
