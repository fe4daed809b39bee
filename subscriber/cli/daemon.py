"""`subscriber run`."""

from __future__ import annotations

import sys

import click

from subscriber import app
from subscriber.cli.environment import log_failure, read_settings
from subscriber.cli.open_files import require_open_files
from subscriber.errors import innermost
from subscriber.options import open_files_needed


@click.command()
@click.option("--migrate", is_flag=True, help="Upgrade the database schema first.")
def run(*, migrate: bool) -> None:
    """Process events from the queues until SIGTERM or SIGINT.

    The first signal finishes what is held, for at most SUBSCRIBER_STOP_TIMEOUT_SECONDS. A second one releases it at
    once: SQS delivers those messages again.
    """
    try:
        settings = read_settings()
        require_open_files(
            open_files_needed(settings), "lower SUBSCRIBER_RECEIVE_MAX_POLLS or SUBSCRIBER_WRITE_MAX_CONCURRENCY"
        )
        code = app.run(settings, migrate=migrate)
    except Exception as error:
        log_failure(innermost(error))
        raise
    sys.exit(code)
