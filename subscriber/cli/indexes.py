"""`subscriber indexes`: optional indexes of the table, switched on and off beside the running daemon."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Literal, TypeAlias

import click
import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.index_builds import BuildProgress, IndexBuilds, IndexState, index_states
from subscriber.adapters.postgres.reader import Reader
from subscriber.cli.environment import read_settings
from subscriber.cli.format_option import format_option
from subscriber.observe.log import bytes_of
from subscriber.quarantine.commands import run_on_database
from subscriber.quarantine.progress import Progress
from subscriber.quarantine.render import table
from subscriber.query.commands import run_as_reader
from subscriber.query.indexes import CATALOG, BuildState, build_state, relation_name
from subscriber.query.reader import TIMEOUT_SECONDS

Format: TypeAlias = Literal["table", "json"]

_NAME = click.Choice(list(CATALOG))
_LEFT = (
    "the build of {name} was interrupted: what it left is maintained by every write and used by no query. Run again: "
)


class ListedIndex(msgspec.Struct, frozen=True):
    """What `--format json` prints, one for each index of the catalog."""

    name: str
    state: BuildState
    size_bytes: int
    scans: int
    """How often queries have used it since the statistics of the database began."""
    answers: str
    price: str


@click.group(
    epilog="""\b
Exit codes:
  0  done
  1  interrupted; create goes on by beginning anew
  2  an extension is missing, another build is running, or invalid arguments
  3  the database rejects the login or a statement
  5  the schema is missing or belongs to another release
"""
)
def indexes() -> None:
    """Switch optional indexes of the table on and off, beside the daemon.

    Without them only a bucket, a prefix and a key are found by an index. Each makes writes dearer; the page "Search the
    index" of the documentation has the measured prices.
    """


@indexes.command("list")
@format_option(Format)
def list_(*, form: Format) -> None:
    """List the indexes and what each answers."""

    async def read(options: StoreOptions) -> list[IndexState]:
        reader = Reader(options, TIMEOUT_SECONDS)
        try:
            return await index_states(reader, options.schema)
        finally:
            await reader.close()

    found = listed(run_as_reader(read_settings(stream=bytes_of(sys.stderr), needs_queues=False), read))
    if form == "json":
        click.echo("\n".join(msgspec.json.encode(each).decode() for each in found))
    else:
        rows = [("index", "state", "bytes", "used", "answers")]
        rows += [(each.name, each.state, str(each.size_bytes), str(each.scans), each.answers) for each in found]
        click.echo("\n".join(table(rows)))


@indexes.command()
@click.argument("name", type=_NAME)
def create(*, name: str) -> None:
    """Build an index beside reads and writes.

    It waits until all transactions that are older have ended, and needs the role of the table's owner. Interrupted, it
    is run again.
    """
    index = CATALOG[name]
    progress = Progress[BuildProgress](sys.stderr, lambda step, _: progress_text(name, step))

    async def build(options: StoreOptions) -> bool:
        try:
            return await IndexBuilds(options).create(
                relation_name(name), index.definition, progress.show, extension=index.extension, table=index.table
            )
        except asyncio.CancelledError:
            progress.end()
            click.echo(f"{_LEFT}subscriber indexes create {name}", err=True)
            raise

    is_new = run_on_database(read_settings(stream=bytes_of(sys.stderr), needs_queues=False), build)
    progress.end()
    click.echo(f"the index {name} is ready" if is_new else f"the index {name} was there already")


@indexes.command()
@click.argument("name", type=_NAME)
def drop(*, name: str) -> None:
    """Drop an index beside reads and writes.

    The same for what an interrupted build left of it.
    """

    async def remove(options: StoreOptions) -> bool:
        return await IndexBuilds(options).drop(relation_name(name))

    was_there = run_on_database(read_settings(stream=bytes_of(sys.stderr), needs_queues=False), remove)
    click.echo(f"the index {name} is dropped" if was_there else f"there was no index {name}")


def listed(states: Sequence[IndexState]) -> list[ListedIndex]:
    """The catalog with what the database has of it."""
    by_relation = {state.relation: state for state in states}
    found = []
    for name, index in CATALOG.items():
        state = by_relation.get(relation_name(name))
        kind = build_state(
            exists=state is not None,
            is_valid=state is not None and state.is_valid,
            is_building=state is not None and state.is_building,
        )
        size, scans = (0, 0) if state is None else (state.size_bytes, state.scans)
        found.append(ListedIndex(name, kind, size, scans, index.answers, index.price))
    return found


def progress_text(name: str, step: BuildProgress) -> str:
    """How far a build is, and which transaction it waits for."""
    percent = f", {100 * step.done / step.total:.0f} %" if step.total else ""
    waits = f"; it waits for the transaction of pid {step.waits_for} to end" if step.waits_for else ""
    return f"{name}: {step.phase}{percent}{waits}"
