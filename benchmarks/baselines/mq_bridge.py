"""mq-bridge, somebody else's bridge from queues to databases with a core in Rust, as an operator would set it up.

    .lab/mq-bridge/bin/python -m benchmarks.baselines.mq_bridge --queue-url URL --concurrency 1

Runs in an environment of its own and so imports nothing of ours. Of its two ways to write several columns it
gets the fast one: `columns` with `key`, one INSERT … ON CONFLICT DO UPDATE of up to 512 rows. That way has no room
for the guard that keeps the newer row. An `insert_query` has, but where a column needs a cast, as `event_time`
does, mq-bridge stores such a query's rows one by one. In a flood each object is told of once: both ways end in the
same table, and only there may it be compared.
"""

from __future__ import annotations

import argparse
import os
import signal

import mq_bridge

BATCH_SIZE = 512
"""Its default, written out."""
CONNECTIONS = 10
"""Its default; more where more batches are written at once."""
_WAIT_SECONDS = 2


def route(queue_url: str, concurrency: int) -> dict[str, object]:
    """From the queue into the table, in mq-bridge's own words (its `config_schema`)."""
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
                "url": os.environ["PEER_DATABASE_URL"],
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
    mq_bridge.init_logging()  # what it drops as unstorable, it says in a log line only
    running = mq_bridge.Route.from_config(route(options.queue_url, options.concurrency))
    signal.signal(signal.SIGTERM, lambda *_: running.stop())
    running.start()
    print("ready", flush=True)
    running.join()


if __name__ == "__main__":
    main()
