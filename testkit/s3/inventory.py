"""Inventories as S3 writes them, in CSV, Parquet and ORC, of versions made from a seed.

The files follow the S3 user guide, "Amazon S3 Inventory" and "Locating your inventory list": gzip CSV without header,
every value quoted, keys URL-encoded with `+` for a space; Parquet with snappy, ORC with zlib, keys as they are; rows in
no order; manifest.json with the MD5 of each file, manifest.checksum with that of the manifest.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import itertools
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus

import msgspec
import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet

from subscriber.model import ListedVersion
from subscriber.reconcile.inventory.manifest import FileFormat

HOSTILE_KEYS: Final = (
    # Texts that a reader which guesses types takes for numbers, times or nothing.
    *("000123", "7e5", "1_000", "0x10", "1.0", "-1", "inf", "nan", "NaN", "NULL", "null", "NA", "N/A", "None", "\\N"),
    *("true", "False", "2026-01-02", "2026-01-02T03:04:05Z", "12:30", "\u0663"),
    # Signs of URL encoding and of CSV.
    *("a b", "a+b", "a%2Bb", "a%20b", "a%2520b", "100%", "%", "+", " ", "a,b", 'a"b', '"', '""', "a;b", "'a'"),
    *("a\nb", "a\r\nb", "\r", "\t", " first", "last ", "=1+1", "a\\b", "#", "?x=1&y=2"),
    # Bytes at the borders.
    *("/", "//", "a//b", "../a", "\x01", "\x1f", "\x7f", "\ufeffmark", "\u2028", "\u0085", "é", "e\u0301", "日本"),
    *("😀", "\U0010ffff", "\uffff", "a" * 1024, "ü" * 512),
)
"""Keys that S3 accepts and readers lose or merge."""

TYPES: Final[Mapping[str, pa.DataType]] = {
    "Bucket": pa.string(),
    "Key": pa.string(),
    "VersionId": pa.string(),
    "IsLatest": pa.bool_(),
    "IsDeleteMarker": pa.bool_(),
    "Size": pa.int64(),
    "LastModifiedDate": pa.timestamp("ms", tz="UTC"),
    "ETag": pa.string(),
    "StorageClass": pa.string(),
    "IsMultipartUploaded": pa.bool_(),
    "ReplicationStatus": pa.string(),
    "ChecksumAlgorithm": pa.string(),
}
"""Columns of an inventory of all versions, in the order of the user guide; the first five are not optional there."""

CURRENT_ONLY: Final = tuple(column for column in TYPES if column not in {"VersionId", "IsLatest", "IsDeleteMarker"})

_NAMES = {column: "".join(f"_{c.lower()}" if c.isupper() else c for c in column).lstrip("_") for column in TYPES}
_NAMES |= {"ETag": "e_tag"}
_ORC_TYPES = {pa.string(): "string", pa.bool_(): "boolean", pa.int64(): "bigint"}
_PARQUET_TYPES = {pa.string(): "binary {} (STRING)", pa.bool_(): "boolean {}", pa.int64(): "int64 {}"}
_SHUFFLED_ROWS = 10_000
_Row = tuple[Any, ...]


class Written(msgspec.Struct, frozen=True):
    """How an inventory is written."""

    bucket: str = "lake"
    file_format: FileFormat = "CSV"
    columns: Sequence[str] = tuple(TYPES)
    rows_per_file: int = 100_000
    created_second: int = 1_790_000_000
    key_prefix: str = "inventory"
    """The destination prefix; its files are written below the folder as their keys say."""


def sample_versions(seed: int, count: int) -> Iterator[ListedVersion]:
    """Versions of hostile and ordinary keys, some with delete markers and null versions, in no order."""
    chance = random.Random(seed)
    ordinary = (
        f"year={2000 + n % 30}/part {n % 7}/{chance.randrange(1 << 60):015x}.parquet" for n in itertools.count()
    )
    stacks = (_stack(chance, key) for key in itertools.chain(HOSTILE_KEYS, ordinary))
    versions = itertools.islice(itertools.chain.from_iterable(stacks), count)
    while block := list(itertools.islice(versions, _SHUFFLED_ROWS)):
        chance.shuffle(block)
        yield from block


def write_inventory(folder: Path, versions: Iterable[ListedVersion], how: Written | None = None) -> Path:
    """Write an inventory below `folder`, as its destination bucket would hold it; the path of manifest.json."""
    how = how or Written()
    rows = (_row(version, how) for version in versions)
    base = f"{how.key_prefix}/{how.bucket}/daily"
    files = []
    for number in itertools.count():
        block = list(itertools.islice(rows, how.rows_per_file))
        if not block:
            break
        key = f"{base}/data/{number:08x}.{'csv.gz' if how.file_format == 'CSV' else how.file_format.lower()}"
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        _WRITERS[how.file_format](path, block, how.columns)
        files.append({"key": key, "size": path.stat().st_size, "MD5checksum": md5_of(path)})
    stamp = datetime.fromtimestamp(how.created_second, UTC).strftime("%Y-%m-%dT%H-%MZ")
    manifest = folder / base / stamp / "manifest.json"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    return write_manifest(manifest, manifest_of(how, files))


def manifest_of(how: Written, files: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The members of manifest.json."""
    return {
        "sourceBucket": how.bucket,
        "destinationBucket": "arn:aws:s3:::inventories",
        "version": "2016-11-30",
        "creationTimestamp": str(how.created_second * 1000),
        "fileFormat": how.file_format,
        "fileSchema": file_schema(how.file_format, how.columns),
        "files": list(files),
    }


def write_manifest(path: Path, manifest: Mapping[str, Any]) -> Path:
    """Write manifest.json and manifest.checksum beside it; the path of the first."""
    path.write_text(json.dumps(manifest, indent=2))
    path.with_suffix(".checksum").write_text(md5_of(path) + "\n")
    return path


def file_schema(file_format: FileFormat, columns: Sequence[str]) -> str:
    """`fileSchema` of a manifest."""
    if file_format == "CSV":
        return ", ".join(columns)
    if file_format == "ORC":
        members = (f"{_NAMES[column]}:{_ORC_TYPES.get(TYPES[column], 'timestamp')}" for column in columns)
        return f"struct<{','.join(members)}>"
    kinds = (_PARQUET_TYPES.get(TYPES[column], "int64 {} (TIMESTAMP(MILLIS,true))") for column in columns)
    members = (
        f"{'required' if column in {'Bucket', 'Key'} else 'optional'} {kind.format(_NAMES[column])};"
        for column, kind in zip(columns, kinds, strict=True)
    )
    return f"message s3.inventory {{  {'  '.join(members)}}}"


def _stack(chance: random.Random, key: str) -> list[ListedVersion]:
    """All versions of one key; the last is the latest."""
    count = chance.choice((1, 1, 1, 2, 3))
    seconds = sorted(chance.randrange(1_700_000_000, 1_780_000_000) for _ in range(count))
    null_at = chance.randrange(count * 3)
    return [
        ListedVersion(
            key,
            "" if number == null_at else f"{chance.randrange(1 << 128):032x}",
            is_marker := chance.random() < 0.1,
            number == count - 1,
            second,
            None if is_marker else chance.randrange(1 << 42),
            None if is_marker else f"{chance.randrange(1 << 128):032x}",
            None if is_marker else "STANDARD",
            None if is_marker else number % 3 == 0,
            None if is_marker else ("CRC64NVME", None)[number % 2],
        )
        for number, second in enumerate(seconds)
    ]


def _row(version: ListedVersion, how: Written) -> _Row:
    values = {
        "Bucket": how.bucket,
        "Key": version.key,
        "VersionId": version.version_id or None,
        "IsLatest": version.is_latest,
        "IsDeleteMarker": version.is_marker,
        "Size": version.size_bytes,
        "LastModifiedDate": datetime.fromtimestamp(version.last_modified, UTC),
        "ETag": version.etag,
        "StorageClass": version.storage_class,
        "IsMultipartUploaded": version.is_multipart,
        "ChecksumAlgorithm": version.checksum_algorithm,
        "ReplicationStatus": None,
    }
    return tuple(values[column] for column in how.columns)


def _write_csv(path: Path, rows: Sequence[_Row], columns: Sequence[str]) -> None:
    texts = [_TEXTS.get(column, _text) for column in columns]
    with gzip.open(path, "wt", newline="", compresslevel=6, encoding="ascii") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerows([text(value) for text, value in zip(texts, row, strict=True)] for row in rows)


def _write_parquet(path: Path, rows: Sequence[_Row], columns: Sequence[str]) -> None:
    table = _table(rows, [(_NAMES[column], TYPES[column]) for column in columns])
    pa.parquet.write_table(table, path, compression="snappy", row_group_size=len(rows))


def _write_orc(path: Path, rows: Sequence[_Row], columns: Sequence[str]) -> None:
    # ORC's plain timestamp has no zone.
    types = ((column, TYPES[column]) for column in columns)
    fields = [(_NAMES[column], pa.timestamp("ns") if pa.types.is_timestamp(kind) else kind) for column, kind in types]
    if "LastModifiedDate" in columns:
        at = list(columns).index("LastModifiedDate")
        rows = [(*row[:at], row[at].replace(tzinfo=None), *row[at + 1 :]) for row in rows]
    pa.orc.write_table(_table(rows, fields), path, compression="zlib")


def _table(rows: Sequence[_Row], fields: list[tuple[str, pa.DataType]]) -> pa.Table:
    columns = zip(*rows, strict=True)
    arrays = [pa.array(values, kind) for values, (_, kind) in zip(columns, fields, strict=True)]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _text(value: object) -> str:
    return "" if value is None else str(value)


def md5_of(path: Path) -> str:
    """MD5 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


_TEXTS: Mapping[str, Callable[[Any], str]] = {
    "Key": lambda key: quote_plus(key, safe="/"),
    "IsLatest": lambda value: str(value).lower(),
    "IsDeleteMarker": lambda value: str(value).lower(),
    "IsMultipartUploaded": lambda value: "" if value is None else str(value).lower(),
    "LastModifiedDate": lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
}
_WRITERS: Mapping[FileFormat, Callable[[Path, Sequence[_Row], Sequence[str]], None]] = {
    "CSV": _write_csv,
    "Parquet": _write_parquet,
    "ORC": _write_orc,
}
