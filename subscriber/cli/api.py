"""`subscriber api`: the index over HTTP."""

from __future__ import annotations

import sys
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.cli.age import Age
from subscriber.cli.environment import read_settings
from subscriber.errors import ConfigurationError
from subscriber.observe.log import bytes_of
from subscriber.query.commands import run_as_reader

MAX_COST = 1_000_000.0


@click.command(
    epilog="""\b
Exit codes:
  0  stopped as asked
  2  invalid settings or arguments, or the address is taken
  3  the database rejects the login or a statement
"""
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8081, show_default=True, help="0 takes a free one.")
@click.option("--tokens", type=click.Path(path_type=Path), help="A file of tokens, one a line, that clients send.")
@click.option("--without-token", is_flag=True, help="Everybody on this machine may ask; only on a loopback address.")
@click.option(
    "--connections", "size", type=click.IntRange(1, 64), default=4, show_default=True, help="To the database."
)
@click.option("--timeout", type=Age(), default="10s", show_default=True, help="Of one statement.")
@click.option(
    "--max-cost",
    type=click.FloatRange(min=1),
    default=MAX_COST,
    show_default=True,
    help="Of a page, in the planner's units.",
)
def api(*, host: str, port: int, tokens: Path | None, without_token: bool, timeout: timedelta, **limits: Any) -> None:
    """Answer searches and look-ups over HTTP.

    It runs until SIGTERM or SIGINT, and only reads: the login of a reader is enough. GET
    /schema/openapi.json describes the routes.
    """
    for name in ("litestar", "uvicorn"):
        if find_spec(name) is None:
            raise ConfigurationError(f"the HTTP API needs {name}: pip install 'subscriber[api]'")
    # Imported here: the extra may be absent.
    from subscriber.api.access import require_access  # noqa: PLC0415 - see above
    from subscriber.api.searches import Searches  # noqa: PLC0415 - see above
    from subscriber.api.server import Address, application, listening, serve  # noqa: PLC0415 - see above

    accepted = require_access(host, tokens, without_token=without_token)
    settings = read_settings(stream=bytes_of(sys.stderr), needs_queues=False)

    async def run(options: StoreOptions) -> None:
        searches = Searches(options, timeout_seconds=max(1.0, timeout.total_seconds()), **limits)
        try:
            async with searches.one() as search:  # a login that fails ends the command
                await search.look_up("start", ["start"])
            with listening(Address(host, port)) as sock:
                click.echo(f"listening on {host} port {sock.getsockname()[1]}", err=True)
                await serve(application(searches, accepted), sock)
        finally:
            await searches.close()

    run_as_reader(settings, run)
