"""`python -m testkit.sqs --port 0`: prints one line of JSON with the URL, then serves until SIGTERM.

It also ends with the process that started it: at once when its standard input is a pipe and is closed, otherwise
within a second of the end of its parent process.
"""

from __future__ import annotations

import argparse
import gc
import os

import uvloop

from testkit.serving import announce_and_wait
from testkit.sqs import limits
from testkit.sqs.server import ServerOptions, serve


def _options() -> ServerOptions:
    parser = argparse.ArgumentParser(prog="python -m testkit.sqs", description=__doc__)
    environment = os.environ
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--access-key", default=environment.get("TESTKIT_SQS_ACCESS_KEY", "local"))
    parser.add_argument("--secret-key", default=environment.get("TESTKIT_SQS_SECRET_KEY", "local"))
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--in-flight-limit", type=int, default=limits.MAX_IN_FLIGHT)
    parser.add_argument("--audit-log", dest="keeps_audit_log", action="store_true", help="record receives and deletes")
    return ServerOptions(**vars(parser.parse_args()))


async def _serve_until_stopped(options: ServerOptions) -> None:
    async with serve(options) as endpoint_url:
        gc.collect()
        gc.freeze()
        await announce_and_wait(endpoint_url)


if __name__ == "__main__":
    uvloop.run(_serve_until_stopped(_options()))
