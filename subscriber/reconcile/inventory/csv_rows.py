"""Rows of CSV into listed versions: those of an inventory, of a Batch Operations manifest, of a list of keys."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter

from subscriber.errors import ListingError
from subscriber.model import ListedVersion
from subscriber.reconcile.inventory import fields

_COLUMNS = (
    "key", "versionid", "isdeletemarker", "islatest", "lastmodifieddate", "size", "etag", "storageclass",
    "ismultipartuploaded", "checksumalgorithm",
)  # fmt: skip
_ABSENT = -1
"""The position of a column that a source does not have: that of the empty text appended to each row."""


class CsvDecoder:
    """Makes listed versions of rows whose columns are known by name.

    Args:
        name: Of the file, for errors.
        columns: In the order of a row, named as `manifest.column_name` does; others than ours are passed over.
        bucket: What each row's bucket must be, where there is such a column.
        key_text: The key of the text in a row.
        rows_before: How many rows of the file are not given, for errors.
    """

    def __init__(
        self, name: str, columns: tuple[str, ...], *, bucket: str, key_text: Callable[[str], str], rows_before: int = 0
    ) -> None:
        self._name = name
        self._width = len(columns)
        self._bucket = bucket
        self._key_text = key_text
        self._bucket_at = _position(columns, "bucket")
        # A source without the column lists current objects only, so that every row is its key's latest.
        self._all_latest = "islatest" not in columns
        self._pick = itemgetter(*(_position(columns, column) for column in _COLUMNS))
        self._rows = rows_before

    def decode(self, text: str) -> list[ListedVersion]:
        """The versions of some whole rows.

        Raises:
            ListingError: a row has other columns, another bucket, or a value that is not of its column's type.
        """
        versions: list[ListedVersion] = []
        try:
            for row in csv.reader(io.StringIO(text, newline=""), strict=True):
                self._rows += 1
                if row:
                    versions.append(self._version(row))
        except (csv.Error, ValueError) as error:
            sentence = f"row {self._rows} of {self._name!r}: {error}"
            raise ListingError("InvalidRow", sentence, is_permanent=True) from error
        return versions

    def _version(self, row: list[str]) -> ListedVersion:
        if len(row) != self._width:
            raise ValueError(f"it has {len(row)} columns instead of {self._width}")
        row.append("")
        if self._bucket_at != _ABSENT and row[self._bucket_at] != self._bucket:
            raise ValueError(f"its bucket is {row[self._bucket_at][:255]!r} instead of {self._bucket!r}")
        key, version, marker, latest, modified, size, etag, storage_class, multipart, checksum = self._pick(row)
        if not key:
            raise ValueError("it has no key")
        is_marker = fields.boolean(marker)
        return ListedVersion(
            self._key_text(key),
            fields.version(version),
            is_marker,
            self._all_latest or fields.boolean(latest),
            fields.unix_second(modified),
            None if is_marker else fields.whole_number(size),
            None if is_marker else etag or None,
            storage_class or None,
            None if is_marker or not multipart else fields.boolean(multipart),
            checksum or None,
        )


def first_row(texts: Iterable[str]) -> list[str]:
    """The first row that is not empty; an empty list if there is none."""
    rows: Iterator[list[str]] = csv.reader(texts, strict=True)
    return next((row for row in rows if row), [])


def _position(columns: tuple[str, ...], column: str) -> int:
    return columns.index(column) if column in columns else _ABSENT
