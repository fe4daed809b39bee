"""`subscriber count`: how many objects, versions and bytes?"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import click
import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.cli.environment import read_settings
from subscriber.cli.format_option import format_option
from subscriber.cli.location import location_of
from subscriber.observe.log import bytes_of
from subscriber.quarantine.render import printable, time_text
from subscriber.query.commands import run_as_reader
from subscriber.query.reader import TIMEOUT_SECONDS
from subscriber.query.usage import Counted, opened_usage

Format: TypeAlias = Literal["table", "json"]


@click.command(
    epilog="""\b
Exit codes:
  0  done
  2  invalid settings or arguments
  3  the database rejects the login or a statement, or took too long
"""
)
@click.argument("place", metavar="s3://BUCKET[/PREFIX]")
@click.option("--exact", is_flag=True, help="Read all of the prefix, where the counters do not keep it.")
@click.option(
    "--timeout-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=TIMEOUT_SECONDS,
    show_default=True,
    help="For the answer.",
)
@format_option(Format)
def count(*, place: str, exact: bool, timeout_seconds: float, form: Format) -> None:
    """Count the objects, versions and bytes of a bucket or prefix.

    With the feature usage a bucket and its folders are counted at once, exactly. Anything else is an estimate of
    PostgreSQL's planner, which says so, or with --exact a read of the whole prefix.
    """
    bucket, prefix = location_of(place)

    async def ask(options: StoreOptions) -> Counted:
        async with opened_usage(options, timeout_seconds) as usage:
            return await usage.count(bucket, prefix, exact=exact)

    counted = run_as_reader(read_settings(stream=bytes_of(sys.stderr), needs_queues=False), ask)
    if form == "json":
        click.echo(msgspec.json.encode(counted))
    else:
        click.echo("\n".join(count_text(counted, datetime.now(UTC))))


def count_text(counted: Counted, now: datetime) -> Iterator[str]:
    """A few lines for people."""
    place = printable(f"s3://{counted.bucket}/{counted.prefix}")
    usage = counted.usage
    if usage is None:
        yield f"{place}: about {counted.estimated_rows} rows, which is an estimate"
        age = "PostgreSQL has never counted the table"
        if counted.analyzed_at is not None:
            seconds = (now - counted.analyzed_at).total_seconds()
            age = f"by statistics of {time_text(counted.analyzed_at)}, {seconds:.0f} s ago"
        yield f"  {age}; versions, delete markers and removed rows together; --exact reads all of it"
        return
    how = "by the counters" if counted.source == "counters" else "by reading all of it"
    yield f"{place}: {usage.objects} objects, {usage.object_bytes} bytes, exact {how}"
    yield f"  {usage.versions} versions, {usage.version_bytes} bytes; {usage.delete_markers} delete markers"
