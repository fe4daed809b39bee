"""`subscriber du`: which folders hold how much?"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias, get_args

import click
import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.cli.environment import read_settings
from subscriber.cli.format_option import format_option
from subscriber.cli.location import location_of
from subscriber.features import DEPTH_AT_MOST, Usage
from subscriber.observe.log import bytes_of
from subscriber.quarantine.render import printable, table
from subscriber.query.commands import run_as_reader
from subscriber.query.reader import TIMEOUT_SECONDS
from subscriber.query.usage import opened_usage, rolled_up

Format: TypeAlias = Literal["table", "json", "csv"]
Sort: TypeAlias = Literal["name", "bytes", "objects", "version-bytes", "versions"]

_BY: Final[Mapping[Sort, Callable[[Usage], int]]] = {
    "bytes": lambda usage: usage.object_bytes,
    "objects": lambda usage: usage.objects,
    "version-bytes": lambda usage: usage.version_bytes,
    "versions": lambda usage: usage.versions,
}


class Folder(msgspec.Struct, frozen=True):
    """What `--format json` prints, one for each folder; all deeper ones are included."""

    bucket: str
    folder: str
    objects: int
    object_bytes: int
    versions: int
    version_bytes: int
    delete_markers: int


@click.command(
    epilog="""\b
Exit codes:
  0  done
  2  the feature usage is off, or invalid settings or arguments
  3  the database rejects the login or a statement, or took too long
"""
)
@click.argument("place", metavar="s3://BUCKET[/FOLDER/]")
@click.option(
    "--depth", type=click.IntRange(0, DEPTH_AT_MOST), default=1, show_default=True, help="Folders below the one named."
)
@click.option("--sort", type=click.Choice(get_args(Sort)), default="bytes", show_default=True, help="Largest first.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="Folders to print.")
@format_option(Format)
def du(*, place: str, depth: int, sort: Sort, limit: int, form: Format) -> None:
    """Show which folders of a bucket hold how much.

    Objects, versions and bytes, exact, from the counters of the feature usage. A folder comes below the one that it is
    in, and counts all that lies below it; among neighbors the largest is first.
    """
    bucket, prefix = location_of(place)

    async def ask(options: StoreOptions) -> list[tuple[str, Usage]]:
        async with opened_usage(options, TIMEOUT_SECONDS) as usage:
            return await usage.tree(bucket, prefix, depth)

    found = rolled_up(run_as_reader(read_settings(stream=bytes_of(sys.stderr), needs_queues=False), ask), prefix)
    shown = ordered(found, prefix, sort)
    click.echo(_printed(form, bucket, [(folder, found[folder]) for folder in shown[:limit]]))
    if len(shown) > limit:
        click.echo(f"these are {limit} of {len(shown)} folders; --limit shows more", err=True)


def ordered(found: Mapping[str, Usage], prefix: str, sort: Sort) -> list[str]:
    """The folders as a tree: each before those in it, and neighbors by what is asked for."""
    below: dict[str, list[str]] = {}
    for folder in found:
        if folder != prefix:
            below.setdefault(folder[: folder.rfind("/", 0, -1) + 1], []).append(folder)
    waiting, shown = [prefix], list[str]()
    while waiting:
        folder = waiting.pop()
        shown.append(folder)
        by = (lambda name: name) if sort == "name" else (lambda name: (-_BY[sort](found[name]), name))
        waiting += sorted(below.get(folder, ()), key=by, reverse=True)
    return shown


def _printed(form: Format, bucket: str, rows: list[tuple[str, Usage]]) -> str:
    if form == "json":
        folders = (Folder(bucket, folder, *msgspec.structs.astuple(usage)) for folder, usage in rows)
        return "\n".join(msgspec.json.encode(each).decode() for each in folders)
    if form == "csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(Folder.__struct_fields__)
        writer.writerows((bucket, folder, *msgspec.structs.astuple(usage)) for folder, usage in rows)
        return text.getvalue().rstrip("\n")
    top = rows[0][0].count("/") if rows else 0
    lines = [("bytes", "objects", "bytes of versions", "versions", "folder")]
    lines += [
        (
            str(usage.object_bytes),
            str(usage.objects),
            str(usage.version_bytes),
            str(usage.versions),
            "  " * (folder.count("/") - top) + printable(folder if number else f"s3://{bucket}/{folder}"),
        )
        for number, (folder, usage) in enumerate(rows)
    ]
    return "\n".join(table(lines))
