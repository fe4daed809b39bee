"""Lists of keys from elsewhere: manifests of S3 Batch Operations, and lists in CSV and JSON Lines.

| format | rows | keys |
| --- | --- | --- |
| `inventory` | manifest.json of an S3 inventory | as its format has them |
| `batch-operations` | `bucket,key` or `bucket,key,version`, no header | URL-encoded, as S3 requires |
| `keys-csv` | a header such as `Key,VersionId,Size`, `Key` at least | as they are |
| `json-lines` | `{"Key": …, "VersionId": …, "Size": …}` | as they are |

What is decoded and what is not cannot be seen in a key such as `a+b`, so that a format is recognized only by what no
other one can begin with.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from subscriber.errors import ListingError
from subscriber.model import ListedVersion
from subscriber.reconcile.inventory import fields
from subscriber.reconcile.inventory.csv_rows import CsvDecoder, first_row
from subscriber.reconcile.inventory.manifest import column_name

SourceFormat: TypeAlias = Literal["inventory", "batch-operations", "keys-csv", "json-lines"]
FORMATS: Final[tuple[SourceFormat, ...]] = get_args(SourceFormat)

_LIST_COLUMNS = frozenset(
    {"key", "versionid", "isdeletemarker", "islatest", "lastmodifieddate", "size", "etag", "storageclass"}
)


class _JsonRow(msgspec.Struct, rename="pascal"):
    """One line; field names are those of S3's listings."""

    key: str
    version_id: str | None = None
    is_latest: bool | None = None
    is_delete_marker: bool = False
    last_modified: datetime | None = None
    size: int | None = None
    e_tag: str | None = None
    storage_class: str | None = None


def recognized(head: str, bucket: str) -> SourceFormat:
    """The format of a source, by its first rows.

    Args:
        head: The begin of its text, whole rows where there are any.
        bucket: Whose keys the source is said to list.

    Raises:
        ListingError: no format, or more than one, begins like this; it names the ways out.
    """
    text = head.removeprefix("\ufeff").lstrip()
    if text.startswith("{"):
        # A manifest is one object over the whole file, of whose members none is a key.
        return "inventory" if '"fileSchema"' in text or '"sourceBucket"' in text else "json-lines"
    row = first_row(text.split("\n", 1)[:1])
    # Both where the bucket is named like a column, such as `key`.
    found: list[SourceFormat] = ["keys-csv"] if _is_header(row) else []
    if len(row) in {2, 3} and row[0] == bucket:
        found.append("batch-operations")
    if len(found) == 1:
        return found[0]
    sentence = (
        f"the format of the source cannot be told from its first row {text[:80]!r}: name one of {', '.join(FORMATS)}"
        f" (rows of batch-operations begin with the bucket {bucket!r}, keys-csv has a header such as Key,VersionId)"
    )
    raise ListingError("UnknownFormat", sentence, is_permanent=True)


class BatchOperationsDecoder:
    """Rows of `bucket,key` or `bucket,key,version`: all rows of a manifest have the same number of columns."""

    def __init__(self, name: str, bucket: str) -> None:
        self._name = name
        self._bucket = bucket
        self._decoder: CsvDecoder | None = None

    def decode(self, text: str) -> list[ListedVersion]:
        """As CsvDecoder.decode."""
        if self._decoder is None:
            columns = ("bucket", "key", "versionid")[: max(2, len(first_row(text.split("\n", 1)[:1])))]
            self._decoder = CsvDecoder(self._name, columns, bucket=self._bucket, key_text=fields.url_decoded)
        return self._decoder.decode(text)


class KeyCsvDecoder:
    """Rows below a header that names the columns."""

    def __init__(self, name: str, bucket: str) -> None:
        self._name = name
        self._bucket = bucket
        self._decoder: CsvDecoder | None = None

    def decode(self, text: str) -> list[ListedVersion]:
        """As CsvDecoder.decode.

        Raises:
            ListingError: the first row is no header of known columns with `Key`.
        """
        if self._decoder is None:
            header, _, text = text.removeprefix("\ufeff").partition("\n")
            row = first_row([header])
            if not _is_header(row):
                sentence = (
                    f"the first row of {self._name!r} is {header[:80]!r}: keys-csv begins with a header of the columns"
                    " Key, VersionId, Size, ETag, LastModifiedDate, StorageClass, of which it needs Key"
                )
                raise ListingError("InvalidRow", sentence, is_permanent=True)
            columns = tuple(_list_column(name) for name in row)
            self._decoder = CsvDecoder(self._name, columns, bucket=self._bucket, key_text=str, rows_before=1)
        return self._decoder.decode(text)


class JsonLinesDecoder:
    """Objects of one line each; members of other names are passed over."""

    def __init__(self, name: str, bucket: str) -> None:
        self._name = name
        self._bucket = bucket
        self._rows = 0
        self._decoder = msgspec.json.Decoder(_JsonRow)

    def decode(self, text: str) -> list[ListedVersion]:
        """As CsvDecoder.decode."""
        versions: list[ListedVersion] = []
        try:
            # Not splitlines(): a key may hold U+2028 and its like unescaped, which end no line of JSON.
            for line in text.split("\n"):
                self._rows += 1
                if line.strip():
                    versions.append(_version_of(self._decoder.decode(line)))
        except (msgspec.MsgspecError, ValueError) as error:
            sentence = f"row {self._rows} of {self._name!r}: {error}"
            raise ListingError("InvalidRow", sentence, is_permanent=True) from error
        self._rows -= text.endswith("\n")
        return versions


def _version_of(row: _JsonRow) -> ListedVersion:
    if not row.key:
        raise ValueError("it has no key")
    modified = row.last_modified
    if modified is not None and modified.tzinfo is None:
        modified = modified.replace(tzinfo=UTC)
    return ListedVersion(
        row.key,
        fields.version(row.version_id),
        row.is_delete_marker,
        # Without a version the row means the key's current object.
        row.version_id is None if row.is_latest is None else row.is_latest,
        fields.UNKNOWN_SECOND if modified is None else int(modified.timestamp() // 1),
        None if row.is_delete_marker else row.size,
        # Answers of S3's API have the quotation marks of HTTP around it.
        None if row.is_delete_marker else (row.e_tag or "").strip('"') or None,
        row.storage_class,
    )


def _is_header(row: list[str]) -> bool:
    columns = [_list_column(name) for name in row]
    return "key" in columns and set(columns) <= _LIST_COLUMNS and len(set(columns)) == len(columns)


def _list_column(name: str) -> str:
    column = column_name(name.strip())
    return "lastmodifieddate" if column == "lastmodified" else column
