"""`make lab`: PostgreSQL and LocalStack for docs/tutorial-existing-bucket.md, until Ctrl-C.

It prints the lines that lead the commands of another terminal there. Both servers are empty at the start, and nothing
of them is kept. Unlike the SQS emulator of the demo, LocalStack has buckets that send events.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from testkit.aws.localstack import PYTHON as LOCALSTACK_PYTHON
from testkit.aws.localstack import localstack_server
from testkit.environment import REGION
from testkit.postgres.postgres import LocalPostgres
from testkit.postgres.postgres_binaries import LocalPostgresError, client_program
from testkit.process import ProcessError


def variables(endpoint_url: str, database_url: str) -> dict[str, str]:
    """The environment variables with which `aws`, `psql` and `subscriber` reach the servers."""
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,  # the AWS CLI reads no other
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_PAGER": "",
        "SUBSCRIBER_DATABASE_URL": database_url,
        "SUBSCRIBER_RECEIVE_WAIT_SECONDS": "2",
        "SUBSCRIBER_HTTP_PORT": "0",
        "PGTZ": "UTC",
    }


def export_lines(values: Mapping[str, str]) -> list[str]:
    """Lines for a shell, the last of which puts the programs on its path."""
    # LocalStack's environment has the AWS CLI, and a python that must not come before ours.
    folders = [Path(sys.executable).parent, client_program("psql").parent, LOCALSTACK_PYTHON.parent]
    path = ":".join(f'"$PWD"/{shlex.quote(os.path.relpath(folder))}' for folder in folders)
    return [*(f"export {name}={shlex.quote(value)}" for name, value in values.items()), f'export PATH={path}:"$PATH"']


def main() -> None:
    """Start the servers, print the lines, and wait for Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print("starting PostgreSQL and LocalStack, which takes some seconds …", flush=True)
    try:
        with LocalPostgres() as postgres, localstack_server() as localstack:
            print("Both run until Ctrl-C. Paste these lines into another terminal, in this folder:\n")
            print("\n".join(export_lines(variables(localstack.endpoint_url, postgres.url))), end="\n\n", flush=True)
            while True:
                signal.pause()
    except KeyboardInterrupt:
        print("\nstopped; nothing is kept")
        sys.exit(130)
    except (ProcessError, LocalPostgresError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
