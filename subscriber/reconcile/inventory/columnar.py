"""Rows of Parquet and ORC into listed versions, batch by batch, with pyarrow.

Keys are taken as they are: S3 documents URL encoding for CSV only. The file's own types decide, and each must be that
of its column. pyarrow is an extra, and needs 38 MB: this module is imported only where a manifest names such a format.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from subscriber.errors import ListingError
from subscriber.model import ListedVersion
from subscriber.reconcile.inventory import fields
from subscriber.reconcile.inventory.manifest import FileFormat, column_name

ROWS_PER_BATCH = 1024
_BUFFER_BYTES = 16 * 1024
"""Of each column, read ahead: without it a column's whole part of a row group is read at once."""
_BATCHES_PER_TRIM = 64
"""After so many, what was freed goes back to the system: pages of columns differ in size and leave gaps. With 64 KiB
read ahead and without this, a file of 2,000,000 rows took 130 MB instead of 121 (pyarrow 26.0.1)."""
_OURS = (
    "bucket",
    "key",
    "versionid",
    "isdeletemarker",
    "islatest",
    "lastmodifieddate",
    "size",
    "etag",
    "storageclass",
    "ismultipartuploaded",
    "checksumalgorithm",
)

# Arrow's own pool keeps what it has freed: 123 MB instead of 85 for the same file (pyarrow 26.0.1).
pa.set_memory_pool(pa.system_memory_pool())


def read_columns(path: Path, file_format: FileFormat, name: str, bucket: str) -> Iterator[list[ListedVersion]]:
    """The rows of a Parquet or ORC file, some thousand at a time; blocks while it reads.

    Args:
        path: The file.
        file_format: Parquet or ORC.
        name: The file's key, for errors.
        bucket: What each row's bucket must be.

    Raises:
        ListingError: the file cannot be read, a column has another type than S3's, or a row another bucket.
    """
    try:
        schema, batches = _opened(path, file_format)
        columns = _checked(schema, name)
        for number, batch in enumerate(batches(list(columns.values()))):
            if number % _BATCHES_PER_TRIM == 0:
                pa.default_memory_pool().release_unused()
            yield _versions({ours: batch.column(written) for ours, written in columns.items()}, name, bucket)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _rejected(name, f"cannot be read as {file_format}: {str(error).splitlines()[0]}") from error


def _opened(path: Path, file_format: FileFormat) -> tuple[Any, Any]:
    if file_format == "Parquet":
        # Not through a dataset, which holds a whole row group: 308 MB instead of 123.
        file = pa.parquet.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        return file.schema_arrow, lambda names: file.iter_batches(ROWS_PER_BATCH, columns=names, use_threads=False)
    # Through a dataset, because an ORCFile gives whole stripes: 266 MB instead of 96. Parquet does without the module.
    files = importlib.import_module("pyarrow.dataset").dataset(path, format="orc")
    return files.schema, lambda names: files.to_batches(
        columns=names, batch_size=ROWS_PER_BATCH, use_threads=False, batch_readahead=0, fragment_readahead=0
    )


def _checked(schema: Any, name: str) -> dict[str, str]:
    """Our column → its name in the file."""
    text = (pa.types.is_string, pa.types.is_large_string)
    kinds = dict.fromkeys(_OURS, text) | {
        "isdeletemarker": (pa.types.is_boolean,),
        "islatest": (pa.types.is_boolean,),
        "lastmodifieddate": (pa.types.is_timestamp,),
        "size": (pa.types.is_int64,),
        "ismultipartuploaded": (pa.types.is_boolean,),
    }
    columns = {column_name(field.name): field.name for field in schema if column_name(field.name) in kinds}
    for ours, written in columns.items():
        kind = schema.field(written).type
        if not any(is_kind(kind) for is_kind in kinds[ours]):
            raise _rejected(name, f"has a column {written!r} of type {kind}, which is not that of an inventory")
    missing = {"bucket", "key"} - set(columns)
    if missing:
        raise _rejected(name, f"has no column {min(missing)!r}")
    return columns


def _versions(columns: dict[str, Any], name: str, bucket: str) -> list[ListedVersion]:
    if (buckets := columns["bucket"].unique().to_pylist()) not in ([bucket], []):
        raise _rejected(name, f"lists the buckets {buckets[:3]}, the manifest says {bucket!r}")
    if columns["key"].null_count:
        raise _rejected(name, "has a row without a key")
    count = len(columns["key"])

    def values(column: str, *, absent: Any) -> list[Any]:
        found = columns.get(column)
        return [absent] * count if found is None else found.to_pylist()

    if "lastmodifieddate" in columns:
        columns["lastmodifieddate"] = _unix_seconds(columns["lastmodifieddate"])
    return [
        ListedVersion(
            key,
            fields.version(version),
            is_marker := bool(marker),
            bool(latest),
            modified,
            None if is_marker else size,
            None if is_marker else etag or None,
            storage_class or None,
            None if is_marker else multipart,
            checksum or None,
        )
        for key, version, marker, latest, modified, size, etag, storage_class, multipart, checksum in zip(
            values("key", absent=""),
            values("versionid", absent=""),
            values("isdeletemarker", absent=False),
            values("islatest", absent=True),
            values("lastmodifieddate", absent=fields.UNKNOWN_SECOND),
            values("size", absent=None),
            values("etag", absent=None),
            values("storageclass", absent=None),
            values("ismultipartuploaded", absent=None),
            values("checksumalgorithm", absent=None),
            strict=True,
        )
    ]


def _unix_seconds(times: Any) -> Any:
    """Cut to the second. A time without a zone, as ORC has it, is UTC."""
    return times.cast(pa.timestamp("s"), safe=False).cast(pa.int64()).fill_null(fields.UNKNOWN_SECOND)


def _rejected(name: str, what: str) -> ListingError:
    return ListingError("InvalidFile", f"{name!r} {what}", is_permanent=True)
