"""The manifest of an S3 inventory, without I/O: what it lists, when it was begun, and its columns by name.

The shape is that of the S3 user guide, "Locating your inventory list": `destinationBucket` is an ARN,
`creationTimestamp` is a text of milliseconds, at which the scan *began*, and `fileSchema` is written in the language of
the format. Parquet's is written in two ways, `binary key (UTF8)` and `binary key (STRING)`.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, Literal, TypeAlias

import msgspec

from subscriber.errors import ListingError

FileFormat: TypeAlias = Literal["CSV", "ORC", "Parquet"]

MANIFEST_BYTES_AT_MOST: Final = 64 * 1024 * 1024
"""Our own limit: some 300,000 data files, of up to 2 GB each in the user guide's example."""

_NEEDED = ("bucket", "key")
_KINDS = {
    "bucket": "text",
    "key": "text",
    "versionid": "text",
    "islatest": "boolean",
    "isdeletemarker": "boolean",
    "size": "integer",
    "lastmodifieddate": "time",
    "etag": "text",
    "storageclass": "text",
}
_ORC_KINDS = {"string": "text", "boolean": "boolean", "bigint": "integer", "timestamp": "time"}
_ORC_COLUMN = re.compile(r"(\w+)\s*:\s*(\w+)")
_PARQUET_COLUMN = re.compile(r"(?:required|optional)\s+(\w+)\s+(\w+)\s*(?:\(\s*(\w+)[^;]*)?;")
_PARQUET_KINDS = {
    ("binary", "UTF8"): "text",
    ("binary", "STRING"): "text",
    ("boolean", ""): "boolean",
    ("int64", ""): "integer",
    ("int64", "TIMESTAMP_MILLIS"): "time",
    ("int64", "TIMESTAMP"): "time",
}


class DataFile(msgspec.Struct, frozen=True):
    """One file of an inventory."""

    key: str
    size_bytes: int = msgspec.field(name="size")
    md5: str = msgspec.field(name="MD5checksum")
    """Hexadecimal, of the file as it is stored."""


class Manifest(msgspec.Struct, frozen=True):
    """A verified manifest."""

    source_bucket: str
    """Whose objects are listed."""
    destination_bucket: str
    """Where the files are."""
    created_second: int
    """Unix second at which the scan of the bucket began; rows are eventually consistent all the same."""
    file_format: FileFormat
    columns: tuple[str, ...]
    """In the order of a CSV row, named as `column_name` does."""
    files: tuple[DataFile, ...]

    @property
    def has_all_versions(self) -> bool:
        """Whether each version and delete marker has a row, and not only each key's current object."""
        return "islatest" in self.columns


class _Written(msgspec.Struct, rename="camel"):
    """The JSON of a manifest."""

    source_bucket: str
    destination_bucket: str
    creation_timestamp: str
    file_format: str
    file_schema: str
    files: tuple[DataFile, ...]


def parse_manifest(body: bytes, checksum: bytes) -> Manifest:
    """The manifest in `body`, the bytes of manifest.json.

    Args:
        body: The bytes of manifest.json.
        checksum: The bytes of manifest.checksum beside it, the MD5 of `body` in hexadecimal digits.

    Raises:
        ListingError: the two do not belong together, or the manifest is not one that S3 writes.
    """
    told = checksum.decode("ascii", "replace").strip().lower()
    digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
    if told != digest:
        raise _rejected(
            "BadDigest",
            f"the manifest has the MD5 {digest}, and manifest.checksum tells {told[:40]!r}:"
            " copy both again, from the same inventory",
        )
    try:
        written = msgspec.json.decode(body, type=_Written)
        milliseconds = int(written.creation_timestamp)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise _rejected("InvalidManifest", f"it is not the manifest of an S3 inventory: {error}") from error
    file_format = _format_of(written.file_format)
    return Manifest(
        written.source_bucket,
        # Of an ARN the name is what follows region and account: arn:aws:s3:::name.
        written.destination_bucket.rpartition(":")[2],
        milliseconds // 1000,
        file_format,
        columns_of(file_format, written.file_schema),
        written.files,
    )


def column_name(name: str) -> str:
    """One name for a column of any format: `VersionId` of CSV and `version_id` of ORC and Parquet are `versionid`."""
    return name.replace("_", "").lower()


def columns_of(file_format: FileFormat, schema: str) -> tuple[str, ...]:
    """The columns of a `fileSchema`, in its order, each of those we read with the type that S3 documents.

    Raises:
        ListingError: it has no bucket or key, names a column twice, or gives one another type.
    """
    typed = _typed_columns(file_format, schema)
    names = tuple(column_name(name) for name, _ in typed)
    for needed in _NEEDED:
        if needed not in names:
            raise _rejected("InvalidManifest", f"its fileSchema has no column {needed!r}: {schema[:200]!r}")
    if len(set(names)) < len(names):
        raise _rejected("InvalidManifest", f"its fileSchema names a column twice: {schema[:200]!r}")
    for name, (written, kind) in zip(names, typed, strict=True):
        expected = _KINDS.get(name)
        if kind is not None and expected is not None and kind != expected:
            raise _rejected("InvalidManifest", f"its column {written!r} is of type {kind}, S3's is of type {expected}")
    return names


def data_keys(manifest: Manifest, file: DataFile) -> tuple[str, ...]:
    """The keys under which a data file may be, the manifest's own first.

    With a destination prefix that ends in a slash S3 writes the files below `prefix//bucket/…` and tells
    `prefix/bucket/…` in the manifest.
    """
    head, found, tail = file.key.rpartition(f"/{manifest.source_bucket}/")
    doubled = f"{head}/{found}{tail}"
    return (file.key, doubled) if found and not head.endswith("/") else (file.key,)


def _typed_columns(file_format: FileFormat, schema: str) -> list[tuple[str, str | None]]:
    if file_format == "CSV":
        return [(name.strip(), None) for name in schema.split(",")]
    if file_format == "ORC":
        return [(name, _ORC_KINDS.get(kind, kind)) for name, kind in _ORC_COLUMN.findall(schema)]
    found = _PARQUET_COLUMN.findall(schema)
    return [(name, _PARQUET_KINDS.get((kind, annotation), kind)) for kind, name, annotation in found]


def _format_of(text: str) -> FileFormat:
    formats: dict[str, FileFormat] = {"csv": "CSV", "orc": "ORC", "parquet": "Parquet"}
    found = formats.get(text.lower())
    if found is None:
        raise _rejected("InvalidManifest", f"its fileFormat is {text!r}: an inventory is in CSV, ORC or Parquet")
    return found


def _rejected(code: str, sentence: str) -> ListingError:
    return ListingError(code, sentence, is_permanent=True)
