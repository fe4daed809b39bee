"""`python -m testkit.s3 --port 0`: prints one line of JSON with the URL, then serves until SIGTERM.

It also ends with the process that started it: at once when its standard input is a pipe and is closed, otherwise
within a second of the end of its parent process.
"""

from __future__ import annotations

import argparse
import gc
import os

import msgspec
import uvloop

from testkit.s3.buckets import BucketSpec
from testkit.s3.server import ServerOptions, serve
from testkit.serving import announce_and_wait


async def _serve_until_stopped(options: ServerOptions, specs: list[BucketSpec]) -> None:
    async with serve(options) as served:
        for spec in specs:
            served.add_bucket(spec)
        gc.collect()
        gc.freeze()
        await announce_and_wait(served.endpoint_url)


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m testkit.s3", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--access-key", default=os.environ.get("TESTKIT_S3_ACCESS_KEY", "local"))
    parser.add_argument("--secret-key", default=os.environ.get("TESTKIT_S3_SECRET_KEY", "local"))
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument(
        "--bucket",
        action="append",
        default=[],
        help='a bucket as JSON: {"name": "lake", "generated": {"keys": 10000000, "seed": 1}}',
    )
    arguments = vars(parser.parse_args())
    specs = [msgspec.json.decode(text, type=BucketSpec) for text in arguments.pop("bucket")]
    uvloop.run(_serve_until_stopped(ServerOptions(**arguments), specs))


if __name__ == "__main__":
    _main()
