"""`subscriber prune`: delete old tombstones, messages that were replayed, and jobs that have ended."""

from __future__ import annotations

import math
import sys
from datetime import timedelta

import click

from subscriber.adapters.postgres.prune import Kind
from subscriber.cli.age import Age
from subscriber.cli.environment import read_settings
from subscriber.errors import ConfigurationError
from subscriber.prune.commands import prune as prune_tables
from subscriber.prune.commands import require_retention
from subscriber.prune.passes import PruneOptions, PruneTally, position_after, result_text

_DEFAULT_RATE = 5000.0
"""Rows read a second: a hundred million rows in half a night."""


@click.command(
    epilog="""\b
Exit codes:
  0  done, or stopped by --for
  1  interrupted; the rows before are done
  2  rejected: a message can be older than --older-than, or invalid arguments
  3  the database rejects the login or a statement
  4  SQS rejects a call
  5  the schema is missing or belongs to another release
"""
)
@click.option("--older-than", type=Age(), help="Delete tombstones written longer ago than this, as in 45d.")
@click.option("--quarantine-older-than", type=Age(), help="Delete messages replayed longer ago than this.")
@click.option("--jobs-older-than", type=Age(), help="Delete jobs that ended longer ago than this.")
@click.option("--dry-run", is_flag=True, help="Count only; delete nothing.")
@click.option(
    "--rate",
    type=click.FloatRange(0, 1_000_000),
    default=_DEFAULT_RATE,
    show_default=True,
    help="Maximum rows to read a second; 0 is unlimited.",
)
@click.option("--for", "time_limit", type=Age(), help="Stop after this time, as in 2h.  [default: at the end]")
@click.option("--after", metavar="BUCKET/KEY", help="Continue after this object, as an earlier run printed it.")
def prune(
    *,
    dry_run: bool,
    rate: float,
    time_limit: timedelta | None,
    after: str | None,
    **ages: timedelta | None,
) -> None:
    """Delete old tombstones, replayed messages and ended jobs.

    A tombstone keeps a late older event from bringing a removed object back. So --older-than must exceed the age that a
    message can reach in any queue of SUBSCRIBER_QUEUE_URLS and in its dead-letter queue. It may be interrupted and
    repeated, and needs the owner's role.
    """
    if not any(age is not None for age in ages.values()):
        raise ConfigurationError(
            "nothing to prune: write --older-than 45d, --quarantine-older-than 90d, --jobs-older-than 90d, or several"
        )
    older_than = ages["older_than"]
    settings = read_settings(stream=sys.stderr.buffer, needs_queues=older_than is not None)
    tallies: list[PruneTally] = []
    if older_than is not None:
        require_retention(settings, older_than)
        tallies.append(PruneTally("tombstones", older_than, position_after(after) if after else ()))
    kinds: tuple[tuple[Kind, str], ...] = (("quarantine", "quarantine_older_than"), ("jobs", "jobs_older_than"))
    tallies += [PruneTally(kind, age) for kind, name in kinds if (age := ages[name]) is not None]
    seconds = math.inf if time_limit is None else time_limit.total_seconds()
    prune_tables(settings, PruneOptions(rate=rate, dry_run=dry_run), seconds, tallies, sys.stderr)
    for tally in tallies:
        click.echo(result_text(tally, dry_run=dry_run))
