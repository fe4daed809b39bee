"""`subscriber history` and `subscriber diff`: what happened to a key, and what differs between two moments?"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

import click
import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.changes import Change, Difference, DifferenceSums, difference_kind, kind_of
from subscriber.cli.environment import read_settings
from subscriber.cli.format_option import format_option
from subscriber.cli.location import location_of
from subscriber.cli.search_arguments import MomentArgument
from subscriber.errors import ConfigurationError
from subscriber.observe.log import bytes_of
from subscriber.quarantine.render import printable, table, time_text
from subscriber.query.commands import run_as_reader
from subscriber.query.history import opened_history
from subscriber.query.reader import TIMEOUT_SECONDS
from subscriber.query.search_query import Moment

Format: TypeAlias = Literal["table", "json", "csv"]

_EPILOG: Final = """\b
Exit codes:
  0  done, also where nothing was found
  2  the history is off or does not reach back, or invalid arguments
  3  the database rejects the login or a statement, or took too long
"""
_LIMIT: Final = click.option(
    "--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Rows to print."
)


@click.command(epilog=_EPILOG)
@click.argument("place", metavar="s3://BUCKET/KEY")
@click.option("--prefix", "below", is_flag=True, help="Of all keys that begin with KEY.")
@_LIMIT
@format_option(Format)
def history(*, place: str, below: bool, limit: int, form: Format) -> None:
    """Show what happened to an object, and what it had been.

    The newest change is first. From the feature history, which keeps the changes since it was switched on.
    """
    bucket, key = location_of(place)
    if not key and not below:
        raise ConfigurationError(f"{place!r} names no object: write s3://BUCKET/KEY, or add --prefix for all of them")

    async def ask(options: StoreOptions) -> tuple[datetime, list[Change]]:
        async with opened_history(options, TIMEOUT_SECONDS) as reader:
            return await reader.since(), await reader.of(bucket, key, limit, below=below)

    since, found = run_as_reader(read_settings(stream=bytes_of(sys.stderr), needs_queues=False), ask)
    if text := _changes_text(form, found):
        click.echo(text)
    more = f"; these are the newest {limit} changes, --limit shows more" if len(found) == limit else ""
    click.echo(f"the history is complete since {_utc(since)}{more}", err=True)


@click.command(epilog=_EPILOG)
@click.argument("place", metavar="s3://BUCKET/PREFIX")
@click.argument("first", type=MomentArgument())
@click.argument("second", type=MomentArgument(), default="0s")
@_LIMIT
@format_option(Format)
def diff(*, place: str, first: Moment, second: Moment, limit: int, form: Format) -> None:
    """Show what differs below a prefix between two moments.

    Objects that were added, removed or changed; without the second moment, until now. From the feature history: objects
    are compared as they were at each moment, and what came and went between is not shown. The sums, on standard error,
    count all objects, beyond the limit too.
    """
    bucket, prefix = location_of(place)

    async def ask(options: StoreOptions) -> tuple[list[Difference], DifferenceSums]:
        shown, sums = list[Difference](), DifferenceSums()
        async with (
            opened_history(options, TIMEOUT_SECONDS) as reader,
            aclosing(reader.diff(bucket, prefix, first, second)) as batches,
        ):
            async for batch in batches:
                shown += batch[: limit - len(shown)]
                for difference in batch:
                    sums.add(difference)
        return shown, sums

    shown, sums = run_as_reader(read_settings(stream=bytes_of(sys.stderr), needs_queues=False), ask)
    if text := _differences_text(form, shown):
        click.echo(text)
    count = sums.added + sums.removed + sums.changed
    more = f"; these are {limit} of {count}, --limit shows more" if count > limit else ""
    click.echo(
        f"{sums.added} added, {sums.removed} removed, {sums.changed} changed, {sums.bytes_more:+} bytes{more}", err=True
    )


def _changes_text(form: Format, found: Sequence[Change]) -> str:
    if form != "table":
        return _rows_text(form, ("change", *Change.__struct_fields__), [(kind_of(one), one) for one in found])
    rows = [("recorded", "change", "bytes", "had been", "since", "event", "who", "version", "key")]
    rows += [
        (
            time_text(one.recorded_at.astimezone(UTC)),
            kind_of(one),
            _number(one.size_bytes),
            _number(one.old_size_bytes),
            _time(one.old_event_time),
            one.event_name or "-",
            _who(one),
            printable(one.version_id) or "null",
            printable(one.key),
        )
        for one in found
    ]
    return "\n".join(table(rows)) if found else ""


def _who(change: Change) -> str:
    named = change.requester and printable(change.requester)
    address = change.remote_ip and f"from {printable(change.remote_ip)}"
    return " ".join(text for text in (named, address) if text) or "-"


def _differences_text(form: Format, found: Sequence[Difference]) -> str:
    if form != "table":
        names = ("change", *Difference.__struct_fields__)
        return _rows_text(form, names, [(difference_kind(one), one) for one in found])
    rows = [("change", "bytes", "had been", "time", "key")]
    rows += [
        (
            difference_kind(one),
            _number(one.size_bytes),
            _number(one.old_size_bytes),
            _time(one.event_time or one.old_event_time),
            printable(one.key),
        )
        for one in found
    ]
    return "\n".join(table(rows)) if found else ""


def _rows_text(form: Format, names: Sequence[str], rows: Sequence[tuple[str, msgspec.Struct]]) -> str:
    values: list[list[Any]] = [[kind, *msgspec.structs.astuple(row)] for kind, row in rows]
    if form == "json":
        return "\n".join(msgspec.json.encode(dict(zip(names, each, strict=True))).decode() for each in values)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_iso(value) if isinstance(value, datetime) else value for value in each] for each in values)
    return text.getvalue().rstrip("\n")


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _time(value: datetime | None) -> str:
    return "-" if value is None else time_text(value.astimezone(UTC))


def _utc(value: datetime) -> str:
    return f"{time_text(value.astimezone(UTC))} UTC"


def _iso(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
