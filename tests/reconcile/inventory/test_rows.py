"""Every row of an inventory is read as it was written, in each format, and nothing is guessed."""

from __future__ import annotations

import random
from pathlib import Path
from typing import get_args

import msgspec
import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet
import pytest

from subscriber.errors import ListingError
from subscriber.model import ListedVersion
from subscriber.reconcile.inventory.manifest import FileFormat
from testkit.s3.inventory import (
    CURRENT_ONLY,
    HOSTILE_KEYS,
    TYPES,
    Written,
    manifest_of,
    md5_of,
    sample_versions,
    write_inventory,
    write_manifest,
)
from tests.reconcile.inventory.reading import BUCKET, inventory_rows

every_format = pytest.mark.parametrize("file_format", get_args(FileFormat))


@every_format
async def test_all_versions_come_back(tmp_path: Path, file_format: FileFormat) -> None:
    """Hostile and ordinary keys, null versions and delete markers come back as they are, from several files."""
    versions = list(sample_versions(1, 3000))
    manifest = write_inventory(tmp_path, versions, Written(file_format=file_format, rows_per_file=1100))

    assert await inventory_rows(manifest) == versions
    assert {version.key for version in versions} >= set(HOSTILE_KEYS)
    assert any(not version.version_id for version in versions)
    assert any(version.is_marker for version in versions)


@every_format
@pytest.mark.parametrize("seed", range(5))
async def test_columns_may_be_in_any_order(tmp_path: Path, file_format: FileFormat, seed: int) -> None:
    """A column is found by its name: the order of the columns changes nothing, and a column unknown to us neither."""
    columns = list(TYPES)
    random.Random(seed).shuffle(columns)
    versions = list(sample_versions(seed, 300))
    manifest = write_inventory(tmp_path, versions, Written(file_format=file_format, columns=columns))

    assert await inventory_rows(manifest) == versions


@every_format
async def test_current_only(tmp_path: Path, file_format: FileFormat) -> None:
    """An inventory of current objects has no column for versions: each row is its key's latest, of the null version."""
    versions = [version for version in sample_versions(2, 500) if version.is_latest and not version.is_marker]
    manifest = write_inventory(tmp_path, versions, Written(file_format=file_format, columns=CURRENT_ONLY))

    assert await inventory_rows(manifest) == [msgspec.structs.replace(version, version_id="") for version in versions]


@every_format
async def test_optional_columns_may_be_missing(tmp_path: Path, file_format: FileFormat) -> None:
    """Without the optional columns size, ETag and storage class are None, and the time is unknown."""
    versions = list(sample_versions(3, 200))
    manifest = write_inventory(tmp_path, versions, Written(file_format=file_format, columns=list(TYPES)[:5]))

    assert await inventory_rows(manifest) == [
        ListedVersion(each.key, each.version_id, each.is_marker, each.is_latest, 0, None, None) for each in versions
    ]


@every_format
async def test_a_null_character_is_kept(tmp_path: Path, file_format: FileFormat) -> None:
    """A key with a NUL character is read; whether the index can store it is not the reader's question."""
    versions = [ListedVersion("a\0b", "v", is_marker=False, is_latest=True, last_modified=9, size_bytes=1, etag="e")]

    assert await inventory_rows(write_inventory(tmp_path, versions, Written(file_format=file_format))) == versions


@every_format
async def test_an_empty_inventory_has_no_rows(tmp_path: Path, file_format: FileFormat) -> None:
    """An empty bucket's inventory has no files, which is no error."""
    assert await inventory_rows(write_inventory(tmp_path, [], Written(file_format=file_format))) == []


@every_format
async def test_a_row_of_another_bucket_is_an_error(tmp_path: Path, file_format: FileFormat) -> None:
    """Rows of a bucket that the manifest does not name are not taken for its rows."""
    foreign = write_inventory(
        tmp_path / "foreign", sample_versions(4, 9), Written(file_format=file_format, bucket="sea")
    )
    written = msgspec.json.decode(foreign.read_bytes())
    manifest = write_manifest(foreign, written | {"sourceBucket": BUCKET})

    with pytest.raises(ListingError, match=r"'sea'.*'lake'"):
        await inventory_rows(manifest)


@pytest.mark.parametrize("file_format", ["Parquet", "ORC"])
@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("key", 123.0, pa.float64()),
        ("size", "7", pa.string()),
        ("last_modified_date", 7, pa.int64()),
        ("is_latest", "true", pa.string()),
    ],
)
async def test_a_column_of_another_type_is_an_error(
    tmp_path: Path, file_format: FileFormat, column: str, value: object, kind: pa.DataType
) -> None:
    """A file whose columns have other types than S3's is not converted: a number is no key."""
    columns = {"bucket": pa.array([BUCKET]), "key": pa.array(["k"]), column: pa.array([value], kind)}

    with pytest.raises(ListingError, match=f"column '{column}' of type"):
        await inventory_rows(_one_file(tmp_path, pa.table(columns), file_format))


@pytest.mark.parametrize("file_format", ["Parquet", "ORC"])
async def test_times_of_other_precision_are_cut_to_their_second(tmp_path: Path, file_format: FileFormat) -> None:
    """A time with nanoseconds, and one in a zone, are the same second of UTC."""
    for kind in (pa.timestamp("ns"), pa.timestamp("us", tz="America/New_York")):
        table = pa.table(
            {
                "bucket": [BUCKET] * 2,
                "key": ["k", "l"],
                "last_modified_date": pa.array([1_700_000_000_999_999, None], pa.timestamp("us")).cast(kind),
            }
        )
        rows = await inventory_rows(_one_file(tmp_path, table, file_format))
        assert [row.last_modified for row in rows] == [1_700_000_000, 0]


@pytest.mark.parametrize("file_format", ["Parquet", "ORC"])
async def test_a_row_without_key_is_an_error(tmp_path: Path, file_format: FileFormat) -> None:
    """A key that is null is damage, and not the key ''."""
    table = pa.table({"bucket": [BUCKET], "key": pa.array([None], pa.string())})

    with pytest.raises(ListingError, match="has a row without a key"):
        await inventory_rows(_one_file(tmp_path, table, file_format))


@pytest.mark.parametrize("file_format", ["Parquet", "ORC"])
async def test_a_file_of_another_format_is_an_error(tmp_path: Path, file_format: FileFormat) -> None:
    """A file that is not in the manifest's format ends in one sentence with its name."""
    manifest = _one_file(tmp_path, pa.table({"bucket": [BUCKET], "key": ["k"]}), file_format, body=b"no such file" * 9)

    with pytest.raises(ListingError, match=rf"data' cannot be read as {file_format}"):
        await inventory_rows(manifest)


def _one_file(folder: Path, table: pa.Table, file_format: FileFormat, body: bytes | None = None) -> Path:
    """An inventory of one file with the columns of `table`, or with another body."""
    path = folder / "data"
    if body is not None:
        path.write_bytes(body)
    elif file_format == "Parquet":
        pa.parquet.write_table(table, path)
    else:
        pa.orc.write_table(table, path)
    how = Written(file_format=file_format, columns=["Bucket", "Key"])
    file = {"key": "data", "size": path.stat().st_size, "MD5checksum": md5_of(path)}
    return write_manifest(folder / "manifest.json", manifest_of(how, [file]))
