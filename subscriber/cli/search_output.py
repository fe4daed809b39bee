"""Rows that were found, written as they come: as text, JSON Lines, CSV or Parquet.

Keys come from elsewhere. In a table what is not printable is escaped for the terminal; the other formats keep it.
"""

from __future__ import annotations

import csv
import importlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final, Literal, TypeAlias

import msgspec

from subscriber.errors import ConfigurationError
from subscriber.quarantine.render import printable, time_text
from subscriber.query.search_query import Found, Looked

Format: TypeAlias = Literal["table", "json", "csv", "parquet"]
Write: TypeAlias = Callable[[Sequence[Found]], None]

_SIZE_CHARACTERS: Final = 15
_TIME_CHARACTERS: Final = 19


@contextmanager
def writer_of(form: Format, stream: BinaryIO, *, versions: bool) -> Iterator[Write]:
    """A function that writes rows, and an end that completes the output.

    Args:
        form: the format.
        stream: where it goes.
        versions: whether rows are versions, and not only objects.

    Raises:
        ConfigurationError: the format is Parquet, and its library is not installed.
    """
    if form == "parquet":
        with _parquet().writer(stream) as write:
            yield write
    elif form == "csv":
        with _text(stream) as text:
            table = csv.writer(text, lineterminator="\r\n")
            table.writerow(Found.__struct_fields__)
            yield lambda rows: table.writerows(csv_row(row) for row in rows)
    elif form == "json":
        yield lambda rows: _write_json(stream, rows)
    else:
        yield lambda rows: _write_table(stream, rows, versions=versions)


def csv_row(row: Found | Looked) -> list[object]:
    """A row for CSV: times as in ISO 8601, in UTC; nothing for a value that is not there.

    Lines end with CR LF, as in RFC 4180: then Python's writer quotes keys that contain either.
    """
    return [
        value.astimezone(UTC).isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
        for value in msgspec.structs.astuple(row)
    ]


def looked_text(row: Looked) -> str:
    """A line for a key that was looked up."""
    time = "" if row.event_time is None else time_text(row.event_time)
    answer = "yes" if row.exists else "no"
    return (
        f"{answer:<3}  {_size(row.size_bytes)}  {time:<{_TIME_CHARACTERS}}  {printable(f's3://{row.bucket}/{row.key}')}"
    )


def _write_json(stream: BinaryIO, rows: Sequence[Found]) -> None:
    stream.write(msgspec.json.Encoder().encode_lines(rows))


def _write_table(stream: BinaryIO, rows: Sequence[Found], *, versions: bool) -> None:
    stream.write("".join(f"{_line(row, versions=versions)}\n" for row in rows).encode())
    stream.flush()


def _line(row: Found, *, versions: bool) -> str:
    facts = [_size(row.size_bytes), time_text(row.event_time)]
    if versions:
        facts += [row.state.ljust(len("delete_marker")), "latest" if row.is_latest else "older ", _version(row)]
    return "  ".join([*facts, printable(row.key)])


def _version(row: Found) -> str:
    return printable(row.version_id) or "null"


def _size(size_bytes: int | None) -> str:
    return ("" if size_bytes is None else str(size_bytes)).rjust(_SIZE_CHARACTERS)


@contextmanager
def _text(stream: BinaryIO) -> Iterator[io.TextIOWrapper]:
    """UTF-8 on a stream that stays open."""
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=False)
    try:
        yield text
        text.flush()
    finally:
        text.detach()


def _parquet() -> Any:
    try:
        return importlib.import_module("subscriber.query.parquet")
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise ConfigurationError("Parquet needs pyarrow: pip install 'subscriber[inventory]', or take CSV") from error


FORMATS_OF_LOOK_UPS: Final[Mapping[str, Callable[[Looked], str]]] = {
    "table": looked_text,
    "json": lambda row: msgspec.json.encode(row).decode(),
}
"""How `exists` prints a line; CSV has a header and is written by a csv.writer."""
