"""`subscriber features`: counters and other features, switched on and off beside the running daemon."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

import click
import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.features import Features
from subscriber.adapters.postgres.usage import DIFFERENCES_AT_MOST, count_anew
from subscriber.cli.environment import read_settings
from subscriber.cli.format_option import format_option
from subscriber.cli.search_arguments import Size
from subscriber.errors import ConfigurationError, ExitCode
from subscriber.events.key import MAX_KEY_BYTES, is_storable
from subscriber.features import (
    CATALOG,
    DEFAULT_DEPTH,
    DEFAULT_KEEP_DAYS,
    DEPTH_AT_MOST,
    KEEP_DAYS_AT_MOST,
    EnabledFeature,
    FeatureState,
    Option,
    UsageDifference,
    options_of,
    state_of,
)
from subscriber.observe.log import bytes_of
from subscriber.quarantine.commands import run_on_database
from subscriber.quarantine.render import printable, table

Format: TypeAlias = Literal["table", "json"]

_NAME = click.Choice(list(CATALOG))
_COUNTED = click.Choice(["usage"])
"""Features that count what is in the index."""
_OPTIONS = {"usage": ("depth",), "enrichment": ("bucket", "prefix", "suffix", "smallest_bytes", "largest_bytes")}
_SHOWN = 10


class ListedFeature(msgspec.Struct, frozen=True):
    """What `--format json` prints, one for each feature of the catalog."""

    name: str
    state: FeatureState
    options: dict[str, Option]
    ready_at: datetime | None
    keeps: str
    price: str


@click.group(
    epilog="""\b
Exit codes:
  0  done
  2  invalid settings or arguments, or the feature is off
  3  the database rejects the login or a statement
  5  the schema is missing, belongs to another release, or is locked
 10  rebuild found counters that were wrong; they are right now
"""
)
def features() -> None:
    """Switch counters and other features on and off.

    Each keeps tables of its own, by triggers on the index, beside the running daemon, and makes writes dearer by what
    `list` says. Switched off, it costs nothing. Switching takes the role of the tables' owner.
    """


@features.command("list")
@format_option(Format)
def list_(*, form: Format) -> None:
    """List the features, what each keeps and what it costs."""

    async def read(options: StoreOptions) -> dict[str, EnabledFeature]:
        return await Features(options).enabled()

    found = listed(run_on_database(read_settings(stream=bytes_of(sys.stderr), needs_queues=False), read))
    if form == "json":
        click.echo("\n".join(msgspec.json.encode(each).decode() for each in found))
        return
    rows = [("feature", "state", "options", "keeps", "price")]
    rows += [(each.name, each.state, _options_text(each), each.keeps, each.price) for each in found]
    click.echo("\n".join(table(rows)))


@features.command()
@click.argument("name", type=_NAME)
@click.option(
    "--depth",
    type=click.IntRange(0, DEPTH_AT_MOST),
    help=f"Of usage: how many folders deep to count.  [default: {DEFAULT_DEPTH}]",
)
@click.option(
    "--keep-days",
    type=click.IntRange(1, KEEP_DAYS_AT_MOST),
    help=f"Of history: days before today whose changes to keep.  [default: {DEFAULT_KEEP_DAYS}]",
)
@click.option("--bucket", help="Of enrichment: only of this bucket.")
@click.option("--prefix", help="Of enrichment: only of keys that begin with this text.")
@click.option("--suffix", help="Of enrichment: only of keys that end with this text.")
@click.option("--smallest", "smallest_bytes", type=Size(), help="Of enrichment: only of versions that are not smaller.")
@click.option("--largest", "largest_bytes", type=Size(), help="Of enrichment: only of versions that are not larger.")
def enable(*, name: str, **given: Any) -> None:
    """Switch a feature on; usage also reads what is in the index already.

    Writes go on meanwhile. Interrupted, `rebuild` goes on with it.
    """
    chosen = options_of(name, given)
    _require_storable(chosen)

    async def switch(options: StoreOptions) -> bool:
        is_new = await Features(options).enable(name, chosen)
        if is_new and name == "usage":
            await count_anew(options)
        return is_new

    is_new = run_on_database(read_settings(stream=bytes_of(sys.stderr), needs_queues=False), switch)
    click.echo(f"the feature {name} is on" if is_new else f"the feature {name} was on already; its options stay")


@features.command()
@click.argument("name", type=_NAME)
def disable(*, name: str) -> None:
    """Switch a feature off, and delete what it has kept."""

    async def switch(options: StoreOptions) -> bool:
        return await Features(options).disable(name)

    was_on = run_on_database(read_settings(stream=bytes_of(sys.stderr), needs_queues=False), switch)
    click.echo(f"the feature {name} is off" if was_on else f"the feature {name} was off")


@features.command()
@click.argument("name", type=_COUNTED)
def rebuild(*, name: str) -> None:
    """Count all rows anew, and put the counters right.

    Where they were wrong is printed. It waits for transactions that ran when it began, and reads every row; writes go
    on meanwhile.
    """

    async def count(options: StoreOptions) -> tuple[FeatureState, list[UsageDifference]]:
        state = state_of((await Features(options).enabled()).get(name))
        if state == "off":
            raise ConfigurationError(f"the feature {name} is off: `subscriber features enable {name}` switches it on")
        return state, await count_anew(options)

    state, found = run_on_database(read_settings(stream=bytes_of(sys.stderr), needs_queues=False), count)
    if state == "counting":
        click.echo(f"the feature {name} is on")
        return
    for each in found[:_SHOWN]:
        place = f"s3://{printable(each.bucket)}/{printable(each.folder)}"
        click.echo(f"{place} ({printable(each.storage_class) or 'class unknown'}): {_changes(each)}")
    if found:
        at_least = "at least " if len(found) == DIFFERENCES_AT_MOST else ""
        click.echo(f"the counters of {at_least}{len(found)} folders were wrong; they are right now", err=True)
        sys.exit(ExitCode.DRIFT)
    click.echo("the counters are equal to a count of every row")


def _require_storable(options: Mapping[str, Option]) -> None:
    for value in options.values():
        if isinstance(value, str) and not is_storable(value, MAX_KEY_BYTES):
            raise ConfigurationError(f"{value!r} fits no key: it has more than {MAX_KEY_BYTES} bytes, or a NUL")


def listed(enabled: dict[str, EnabledFeature]) -> list[ListedFeature]:
    """The catalog with what the database has of it."""
    found = []
    for name, feature in CATALOG.items():
        row = enabled.get(name)
        options, ready_at = ({}, None) if row is None else (dict(row.options), row.ready_at)
        found.append(ListedFeature(name, state_of(row), options, ready_at, feature.keeps, feature.price))
    return found


def _options_text(feature: ListedFeature) -> str:
    return ", ".join(f"{name} {value}" for name, value in feature.options.items()) or "-"


def _changes(difference: UsageDifference) -> str:
    kept, counted = msgspec.structs.asdict(difference.kept), msgspec.structs.asdict(difference.counted)
    return ", ".join(f"{name} {kept[name]} → {counted[name]}" for name in kept if kept[name] != counted[name])
