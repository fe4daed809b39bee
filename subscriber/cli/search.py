"""`subscriber search`: find objects in the index."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import click

from subscriber.cli.age import Age
from subscriber.cli.environment import read_settings
from subscriber.cli.format_option import format_option
from subscriber.cli.location import location_of
from subscriber.cli.search_arguments import MomentArgument, Size
from subscriber.cli.search_output import Format, writer_of
from subscriber.errors import ConfigurationError
from subscriber.observe.log import bytes_of
from subscriber.query.commands import run_search
from subscriber.query.reader import Search
from subscriber.query.search_query import ORDERS, Query

ROWS_AT_MOST = 100_000
DEFAULT_ROWS = 1000

_EPILOG = """\b
Exit codes:
  0  done, also where nothing was found
  1  interrupted
  2  the token belongs to another search, or invalid arguments
  3  the database rejects the login or a statement, or took too long
"""


@click.command(epilog=_EPILOG)
@click.argument("location", metavar="s3://BUCKET/PREFIX")
@click.option("--suffix", default="", help="Keys that end with this text, as in .parquet.")
@click.option("--glob", help="What follows the prefix matches this: * within a folder, ** across, ?, [a-z].")
@click.option("--regex", help="The key matches this regular expression of PostgreSQL.")
@click.option("--larger-than", "larger_than_bytes", type=Size(), help="As in 1GB or 1GiB.")
@click.option("--smaller-than", "smaller_than_bytes", type=Size(), help="As in 64KB.")
@click.option("--since", type=MomentArgument(), help="Changed since, as in 7d or 2026-11-22.")
@click.option("--until", type=MomentArgument(), help="Changed before, as in 30d or 2026-11-22T08:00Z.")
@click.option("--storage-class", "storage_classes", multiple=True, help="As in GLACIER; repeat it for any of several.")
@click.option("--as-of", type=MomentArgument(), help="What existed then, by the feature history.")
@click.option(
    "--where",
    multiple=True,
    help="Metadata that enrichment has stored: tags.project=x, meta.owner=y, content_type=text/csv, tags.owner, "
    "!tags.owner, !metadata. May be repeated.",
)
@click.option("--versions", is_flag=True, help="All versions and delete markers that exist.")
@click.option(
    "--order",
    type=click.Choice(ORDERS),
    default="key",
    show_default=True,
    help="Size: the largest first; time: the newest first.",
)
@click.option("--reverse", is_flag=True, help="The other way round.")
@click.option(
    "--limit",
    type=click.IntRange(1, ROWS_AT_MOST),
    default=DEFAULT_ROWS,
    show_default=True,
    help="Rows of a page.",
)
@click.option("--all", "without_limit", is_flag=True, help="All rows, however many, in constant memory.")
@click.option("--token", help="Go on after the page that printed it.")
@click.option("--explain", is_flag=True, help="Say which index is used, and search nothing.")
@click.option("--timeout", type=Age(), default="60s", show_default=True, help="Of a page.")
@format_option(Format, "How to print; parquet needs pyarrow.")
def search(
    *,
    location: str,
    limit: int,
    without_limit: bool,
    token: str | None,
    explain: bool,
    timeout: timedelta,
    **arguments: Any,
) -> None:
    """Find objects in the index.

    Without options it lists a prefix in the order of keys. All conditions must hold at once. A page ends with a token,
    on standard error, that the same search takes for the next page.
    """
    bucket, prefix = location_of(location)
    form: Format = arguments.pop("form")
    query = Query(bucket=bucket, prefix=prefix, **arguments)
    at_most = None if without_limit else limit
    if form == "parquet" and sys.stdout.isatty() and not explain:
        raise ConfigurationError("Parquet is no text: write it to a file, as in --format parquet > found.parquet")

    async def run(found: Search) -> None:
        if explain:
            click.echo("\n".join(await found.explain(query, at_most, token)))
        else:
            await _print(found, query, form, at_most, token)

    settings = read_settings(stream=bytes_of(sys.stderr), needs_queues=False)
    run_search(settings, max(1.0, timeout.total_seconds()), run)


async def _print(search: Search, query: Query, form: Format, at_most: int | None, token: str | None) -> None:
    stream = bytes_of(sys.stdout)
    with writer_of(form, stream, versions=query.versions) as write:
        if at_most is None:
            async for rows in search.batches(query, token=token):
                write(rows)
            stream.flush()
            return
        page = await search.page(query, at_most, token)
        if page.rows:
            write(page.rows)
    stream.flush()
    if page.token is not None:
        click.echo(f"there are more rows; the same search goes on with --token={page.token}", err=True)
