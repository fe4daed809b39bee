"""`subscriber exists`: which of these objects does the index have?"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from operator import itemgetter
from typing import BinaryIO, Final, Literal, TypeAlias

import click

from subscriber.cli.environment import read_settings
from subscriber.cli.format_option import format_option
from subscriber.cli.search_output import FORMATS_OF_LOOK_UPS, csv_row
from subscriber.errors import ConfigurationError, ExitCode
from subscriber.observe.log import bytes_of
from subscriber.query.commands import run_search
from subscriber.query.reader import KEYS_PER_LOOK_UP, TIMEOUT_SECONDS, Search
from subscriber.query.search_query import Looked

Format: TypeAlias = Literal["table", "json", "csv"]
Named: TypeAlias = tuple[str, str]
"""Bucket and key."""

_BLOCK_BYTES: Final = 64 * 1024
_LINE_BYTES_AT_MOST: Final = 8 * 1024
"""A bucket and a key have 1,279 bytes at most; a longer line is no list of keys."""


@click.command(
    epilog="""\b
Exit codes:
  0  all exist
  1  interrupted
  2  a line names no object, or invalid arguments
  3  the database rejects the login or a statement, or took too long
 11  an object is not in the index
"""
)
@click.argument("objects", metavar="[s3://BUCKET/KEY]...", nargs=-1)
@click.option(
    "--keys",
    "file",
    type=click.File("rb"),
    help="Read more of them from a file, one a line; - is standard input.",
)
@click.option("--bucket", help="The lines of --keys are keys of this bucket, and not s3://BUCKET/KEY.")
@click.option("--null", "ends_with_nul", is_flag=True, help="Lines of --keys end with NUL, as find -print0 writes.")
@click.option("--missing", "only_missing", is_flag=True, help="Print only those that are not in the index.")
@format_option(Format)
def exists(
    *,
    objects: tuple[str, ...],
    file: BinaryIO | None,
    bucket: str | None,
    ends_with_nul: bool,
    only_missing: bool,
    form: Format,
) -> None:
    """Look up which of given objects the index has.

    Each costs one search in the primary key, however large the index is. They are printed in their order, as they come,
    so a list may be longer than memory.
    """
    if not objects and file is None:
        raise ConfigurationError("name objects, as in s3://BUCKET/KEY, or a file of them: --keys FILE")
    lines = () if file is None else named_lines(file, b"\0" if ends_with_nul else b"\n", bucket)
    named = [*(named_object(text) for text in objects)]
    print_row = _printer(form)

    async def run(search: Search) -> tuple[int, int]:
        asked = missing = 0
        for chunk in _chunks(iter((*named,)), lines):
            for row in await look_up(search, chunk):
                asked, missing = asked + 1, missing + (not row.exists)
                if not (only_missing and row.exists):
                    print_row(row)
        return asked, missing

    settings = read_settings(stream=bytes_of(sys.stderr), needs_queues=False)
    asked, missing = run_search(settings, TIMEOUT_SECONDS, run)
    click.echo(f"{asked - missing} of {asked} exist", err=True)
    sys.exit(ExitCode.MISSING if missing else ExitCode.DRAINED)


async def look_up(search: Search, named: Iterable[Named]) -> list[Looked]:
    """Look objects up, whichever buckets they are in, in their order."""
    found: list[Looked] = []
    for bucket, group in groupby(named, key=itemgetter(0)):
        found += await search.look_up(bucket, [key for _, key in group])
    return found


def named_object(text: str) -> Named:
    """Bucket and key of `s3://BUCKET/KEY`; nothing is percent-decoded.

    Raises:
        ConfigurationError: it names none.
    """
    if not text.isprintable() and any("\ud800" <= char <= "\udfff" for char in text):
        raise ConfigurationError(f"{text!r} is not UTF-8")
    bucket, _, key = text.removeprefix("s3://").partition("/")
    if not text.startswith("s3://") or not bucket or not key:
        raise ConfigurationError(f"{text!r} names no object: write s3://BUCKET/KEY, or give --bucket and keys")
    return bucket, key


def named_lines(stream: BinaryIO, end: bytes, bucket: str | None) -> Iterator[Named]:
    """The objects that the lines of a file name; an empty line is skipped.

    Raises:
        ConfigurationError: a line names none, is too long, or is not UTF-8; the text has its number.
    """
    for number, line in enumerate(_lines(stream, end), start=1):
        if not line:
            continue
        try:
            text = line.decode()
            yield named_object(text) if bucket is None else (bucket, text)
        except UnicodeDecodeError:
            raise ConfigurationError(f"line {number} is not UTF-8") from None
        except ConfigurationError as error:
            raise ConfigurationError(f"line {number}: {error}") from None


def _lines(stream: BinaryIO, end: bytes) -> Iterator[bytes]:
    """The lines, without their ends; the last one may have none."""
    rest = b""
    while block := stream.read(_BLOCK_BYTES):
        *lines, rest = (rest + block).split(end)
        yield from lines
        if len(rest) > _LINE_BYTES_AT_MOST:
            raise ConfigurationError(f"a line has more than {_LINE_BYTES_AT_MOST} bytes: is it a list of keys?")
    yield rest


def _chunks(*sources: Iterable[Named]) -> Iterator[list[Named]]:
    for source in sources:
        iterator = iter(source)
        while chunk := list(islice(iterator, KEYS_PER_LOOK_UP)):
            yield chunk


def _printer(form: Format) -> Callable[[Looked], None]:
    if form != "csv":
        text_of = FORMATS_OF_LOOK_UPS[form]
        return lambda row: click.echo(text_of(row))
    table = csv.writer(sys.stdout, lineterminator="\r\n")
    table.writerow(Looked.__struct_fields__)
    return lambda row: table.writerow(csv_row(row))
