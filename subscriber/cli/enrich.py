"""`subscriber enrich`: what waits for its metadata, what failed, and what it costs."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Literal, TypeAlias

import click
import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.enrichment import Enrichment, EnrichmentStatus
from subscriber.adapters.postgres.features import Features
from subscriber.cli.environment import read_settings
from subscriber.cli.format_option import format_option
from subscriber.cli.location import location_of
from subscriber.enrich.policy import REQUESTS_PER_VERSION, cost_dollars
from subscriber.errors import ConfigurationError
from subscriber.observe.log import bytes_of
from subscriber.quarantine.commands import run_on_database
from subscriber.quarantine.render import printable, table
from subscriber.query.patterns import prefix_end

Format: TypeAlias = Literal["table", "json"]

ERRORS_SHOWN = 10


class Status(msgspec.Struct, frozen=True):
    """What `status --format json` prints."""

    due: int
    later: int
    given_up: int
    oldest_queued_at: datetime | None
    enriched_estimate: int
    """By PostgreSQL's statistics."""
    month_requests: int
    month_dollars: float
    queue_dollars: float
    """What asking for all that waits will cost, without repeated requests."""
    errors: dict[str, int]
    """How many versions have each error: the most frequent ones."""


@click.group(
    epilog="""\b
Exit codes:
  0  done
  2  the feature enrichment is off, or invalid settings or arguments
  3  the database rejects the login or a statement
  5  the schema is missing or belongs to another release
"""
)
def enrich() -> None:
    """Show and steer the queue of metadata to ask S3 for.

    `subscriber features enable enrichment` makes writes queue versions, and daemons with SUBSCRIBER_ENRICH=true ask S3
    for them, the newest first.
    """


@enrich.command()
@format_option(Format)
def status(*, form: Format) -> None:
    """Show the queue, this month's bill, and errors.

    Exact, but for the number of versions with metadata.
    """
    settings = read_settings(stream=bytes_of(sys.stderr), needs_queues=False)

    async def ask(options: StoreOptions) -> EnrichmentStatus:
        queue = Enrichment(options)
        try:
            return await queue.status(ERRORS_SHOWN)
        finally:
            await queue.close()

    found = status_of(run_on_database(settings, ask), settings.head_price_per_million)
    click.echo(msgspec.json.encode(found).decode() if form == "json" else "\n".join(_text(found)))


@enrich.command()
@click.argument("location", metavar="s3://BUCKET[/PREFIX]")
@click.option("--again", is_flag=True, help="Also versions whose metadata is known.")
def queue(*, location: str, again: bool) -> None:
    """Queue what is in the index already.

    The filter of the feature does not count here. Interrupted, it is run again: what is queued or known is left out.
    """
    bucket, prefix = location_of(location)
    settings = read_settings(stream=bytes_of(sys.stderr), needs_queues=False)

    async def add(options: StoreOptions) -> tuple[int, int]:
        if "enrichment" not in await Features(options).enabled():
            text = "the feature enrichment is off: `subscriber features enable enrichment` switches it on"
            raise ConfigurationError(text)
        waiting = Enrichment(options)
        try:
            return await waiting.queue_range(bucket, (prefix, prefix_end(prefix)), again=again)
        finally:
            await waiting.close()

    seen, queued = run_on_database(settings, add)
    dollars = cost_dollars(queued * REQUESTS_PER_VERSION, settings.head_price_per_million)
    click.echo(f"{queued} of {seen} rows are queued; asking for them takes about {dollars:.2f} USD")


@enrich.command()
def retry() -> None:
    """Ask again for versions that were given up."""

    async def again(options: StoreOptions) -> int:
        waiting = Enrichment(options)
        try:
            return await waiting.retry()
        finally:
            await waiting.close()

    count = run_on_database(read_settings(stream=bytes_of(sys.stderr), needs_queues=False), again)
    click.echo(f"{count} versions are due again")


def status_of(found: EnrichmentStatus, price_per_million: float) -> Status:
    """With the bill."""
    values = msgspec.structs.asdict(found)
    waiting = (found.due + found.later) * REQUESTS_PER_VERSION
    return Status(
        **values | {"errors": dict(found.errors)},
        month_dollars=cost_dollars(found.month_requests, price_per_million),
        queue_dollars=cost_dollars(waiting, price_per_million),
    )


def _text(found: Status) -> list[str]:
    oldest = f"{found.oldest_queued_at:%Y-%m-%d %H:%M:%S} UTC" if found.oldest_queued_at else "-"
    lines = [
        *table(
            [
                ("due", str(found.due)),
                ("later", str(found.later)),
                ("given up", str(found.given_up)),
                ("oldest queued", oldest),
                ("with metadata", f"about {found.enriched_estimate}, by PostgreSQL's statistics"),
                ("this month", f"{found.month_requests} requests, {found.month_dollars:.2f} USD"),
                ("the queue", f"about {found.queue_dollars:.2f} USD more"),
            ]
        )
    ]
    if found.errors:
        rows = [("versions", "error"), *((str(count), printable(error)) for error, count in found.errors.items())]
        lines += ["", *table(rows)]
    return lines
