"""`subscriber buckets`: what the index knows of each bucket, and since when."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Literal, TypeAlias

import click
import msgspec

from subscriber.adapters.postgres.buckets import BucketsTable
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.cli.buckets_text import buckets_table, report_of
from subscriber.cli.environment import read_settings
from subscriber.cli.format_option import format_option
from subscriber.observe.log import bytes_of
from subscriber.quarantine.commands import run_on_database
from subscriber.reconcile.completeness import Judgment, judgments
from subscriber.settings.table import Settings

Format: TypeAlias = Literal["table", "json"]


@click.command(
    epilog="""\b
Exit codes:
  0  done
  2  invalid settings or arguments
  3  the database rejects the login or a statement
  5  the schema is missing or belongs to another release
"""
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=1000, show_default=True, help="Buckets to print.")
@format_option(Format)
def buckets(*, limit: int, form: Format) -> None:
    """List the buckets of the index, and how complete it is of each.

    Events tell what changed since the subscription; only a backfill or a comparison tells of the objects before it. A
    bucket of SUBSCRIBER_BUCKETS of which nothing is known is listed too. No queue and no bucket is asked.
    """
    settings = read_settings(stream=bytes_of(sys.stderr), needs_queues=False)
    found, now = run_on_database(settings, lambda options: _judged(settings, options, limit + 1))
    shown = found[:limit]
    if form == "json":
        for each in shown:
            click.echo(msgspec.json.encode(report_of(each, now)))
    elif shown:
        click.echo("\n".join(buckets_table(shown, now)))
    else:
        click.echo("the index knows no bucket: no event was stored and no job has run")
    if len(found) > limit:
        click.echo(f"these are the first {limit} buckets by name; --limit shows more", err=True)


async def _judged(settings: Settings, options: StoreOptions, at_most: int) -> tuple[list[Judgment], datetime]:
    table = BucketsTable(options)
    events = await table.events(at_most, settings.buckets or ())
    jobs = await table.jobs([each.bucket for each in events])
    return judgments(events, jobs), await table.now()
