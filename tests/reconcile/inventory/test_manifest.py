"""A manifest is taken only whole, with its checksum, and for what the user guide says it is."""

from __future__ import annotations

import hashlib
import json
from typing import Any, get_args

import pytest

from subscriber.errors import ListingError
from subscriber.reconcile.inventory.manifest import (
    DataFile,
    FileFormat,
    Manifest,
    columns_of,
    data_keys,
    parse_manifest,
)
from testkit.s3.inventory import TYPES, file_schema

WRITTEN: dict[str, Any] = {
    "sourceBucket": "lake",
    "destinationBucket": "arn:aws-cn:s3:::inventories",
    "version": "2016-11-30",
    "creationTimestamp": "1514944800999",
    "fileFormat": "CSV",
    "fileSchema": "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, ETag, ObjectOwner",
    "files": [{"key": "inv/lake/daily/data/f.csv.gz", "size": 2147483647, "MD5checksum": "f11166069f1990abeb9c97"}],
}
COLUMNS = ("bucket", "key", "versionid", "islatest", "isdeletemarker", "size", "etag", "objectowner")


def parsed(**changes: Any) -> Manifest:
    """The manifest with other members, its checksum that of the whole."""
    body = json.dumps(WRITTEN | changes).encode()
    return parse_manifest(body, hashlib.md5(body).hexdigest().encode())


def test_all_members_are_read() -> None:
    """The destination's ARN becomes a name, the milliseconds a second, the schema columns by name."""
    file = DataFile("inv/lake/daily/data/f.csv.gz", 2147483647, "f11166069f1990abeb9c97")
    assert parsed() == Manifest("lake", "inventories", 1514944800, "CSV", COLUMNS, (file,))
    assert parsed().has_all_versions
    assert not parsed(fileSchema="Bucket, Key, Size").has_all_versions


@pytest.mark.parametrize("file_format", get_args(FileFormat))
def test_schemas_of_all_formats_name_the_same_columns(file_format: FileFormat) -> None:
    """Columns have one name each, however a format writes them."""
    assert columns_of(file_format, file_schema(file_format, list(TYPES))) == (
        *COLUMNS[:6],
        *("lastmodifieddate", "etag", "storageclass", "ismultipartuploaded", "replicationstatus", "checksumalgorithm"),
    )


def test_both_ways_of_writing_a_parquet_schema_are_read() -> None:
    """The user guide has `binary key (UTF8)` and TIMESTAMP_MILLIS; real manifests have STRING and TIMESTAMP(…)."""
    old = "required binary bucket (UTF8); required binary key (UTF8); optional int64 last_modified_date"
    new = "required binary bucket (STRING);  required binary key (STRING);  optional int64 last_modified_date"
    expected = ("bucket", "key", "lastmodifieddate")
    assert columns_of("Parquet", f"message s3.inventory {{ {old} (TIMESTAMP_MILLIS); }}") == expected
    assert columns_of("Parquet", f"message s3.inventory {{  {new} (TIMESTAMP(MILLIS,true));}}") == expected


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"creationTimestamp": "yesterday"}, "not the manifest of an S3 inventory"),
        ({"files": None}, "not the manifest of an S3 inventory"),
        ({"fileFormat": "JSON"}, "an inventory is in CSV, ORC or Parquet"),
        ({"fileSchema": "Bucket, Size"}, "no column 'key'"),
        ({"fileSchema": "Bucket, Key, Key"}, "names a column twice"),
        ({"fileFormat": "ORC", "fileSchema": "struct<bucket:string,key:double>"}, "'key' is of type double"),
        (
            {"fileFormat": "Parquet", "fileSchema": "message m { required int64 key; required binary bucket (UTF8);}"},
            "'key' is of type integer",
        ),
    ],
)
def test_another_manifest_is_an_error(changes: dict[str, Any], sentence: str) -> None:
    """What S3 does not write is rejected in one sentence, for good."""
    with pytest.raises(ListingError, match=sentence) as caught:
        parsed(**changes)
    assert caught.value.is_permanent
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff{}", b'{"sourceBucket": "lake"}'])
def test_no_manifest_is_an_error(body: bytes) -> None:
    """Bytes that are no manifest are rejected, although their checksum is right."""
    with pytest.raises(ListingError, match="not the manifest of an S3 inventory"):
        parse_manifest(body, hashlib.md5(body).hexdigest().encode())


def test_the_checksum_decides() -> None:
    """A manifest with another MD5 is rejected; upper case and a line break make no difference."""
    body = json.dumps(WRITTEN).encode()
    digest = hashlib.md5(body).hexdigest()
    assert parse_manifest(body, f"{digest.upper()}\n".encode()) == parsed()
    with pytest.raises(ListingError, match=f"checksum tells '{digest}': copy both again"):
        parse_manifest(body + b" ", digest.encode())


@pytest.mark.parametrize(
    ("key", "doubled"),
    [
        ("inv/lake/daily/data/f", "inv//lake/daily/data/f"),
        ("a/lake/b/lake/daily/data/f", "a/lake/b//lake/daily/data/f"),
        ("inv//lake/daily/data/f", None),
        ("lake/daily/data/f", None),
    ],
)
def test_the_doubled_slash_is_tried_second(key: str, doubled: str | None) -> None:
    """With a destination prefix that ends in a slash, files are below `//`, and the manifest does not say so."""
    expected = (key,) if doubled is None else (key, doubled)
    assert data_keys(parsed(), DataFile(key, 1, "")) == expected
