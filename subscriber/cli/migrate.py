"""`subscriber migrate`: apart from the daemon, whose servers and clients it does not import."""

from __future__ import annotations

import asyncio

import click
import uvloop

from subscriber.adapters.postgres.auth import authenticated
from subscriber.adapters.postgres.migrations import migrate as apply_migrations
from subscriber.cli.environment import read_settings
from subscriber.options import auth_options, store_options
from subscriber.settings.table import Settings


@click.command()
def migrate() -> None:
    """Create or upgrade the database schema, then exit."""
    applied = upgrade(read_settings(needs_queues=False))
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("the schema is up to date")


def upgrade(settings: Settings) -> list[str]:
    """Upgrade the schema; the names of the applied migrations."""

    async def run() -> list[str]:
        async with authenticated(store_options(settings), auth_options(settings)) as options:
            return await apply_migrations(options)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())
