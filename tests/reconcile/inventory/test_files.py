"""Files of an inventory: found, verified to their end, and left behind nowhere."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import subprocess
import sys
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from subscriber.errors import ListingError
from subscriber.reconcile.inventory.manifest import FileFormat
from subscriber.reconcile.inventory.objects import LocalFiles
from subscriber.reconcile.inventory.source import Location, Source, open_source, parse_location, read_file
from testkit.s3.inventory import Written, sample_versions, write_inventory
from tests.reconcile.inventory.reading import BUCKET, StoredObjects, inventory_rows, objects_below, rows_of

every_format = pytest.mark.parametrize("file_format", get_args(FileFormat))


def inventory(
    folder: Path, file_format: FileFormat = "CSV", count: int = 500
) -> tuple[dict[str, bytes], Location, str]:
    """The objects of an inventory of one file, the place of its manifest, and the key of its file."""
    manifest = write_inventory(folder, sample_versions(1, count), Written(file_format=file_format))
    objects = objects_below(folder)
    (data,) = [key for key in objects if "/data/" in key]
    return objects, Location("inventories", str(manifest.relative_to(folder))), data


def names_in(folder: Path) -> list[str]:
    """What a folder holds."""
    return sorted(path.name for path in folder.iterdir())


@every_format
async def test_files_below_a_doubled_slash_are_found(tmp_path: Path, file_format: FileFormat) -> None:
    """Where the manifest's key does not exist, the one with the doubled slash is read, forbidden listing or not."""
    objects, location, data = inventory(tmp_path, file_format)
    moved = objects | {data.replace("/lake/", "//lake/"): objects.pop(data)}
    for code in ("NoSuchKey", "AccessDenied"):
        reader = StoredObjects(moved, absent_code=code)
        rows = await rows_of(reader, await open_source(reader, location, BUCKET))
        assert rows == list(sample_versions(1, 500))


async def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    """A file that is nowhere is named with both of its keys and with what to do."""
    objects, location, data = inventory(tmp_path)
    del objects[data]
    reader = StoredObjects(objects)
    source = await open_source(reader, location, BUCKET)
    doubled = data.replace("/lake/", "//lake/")

    with pytest.raises(ListingError, match=f"neither '{data}' nor '{doubled}'.*allow s3:GetObject"):
        await rows_of(reader, source)


async def test_another_failure_is_not_a_missing_file(tmp_path: Path) -> None:
    """A throttled read does not make the reader try another key."""
    objects, location, data = inventory(tmp_path)
    source = await open_source(StoredObjects(objects), location, BUCKET)
    reader = StoredObjects({}, absent_code="SlowDown")

    with pytest.raises(ListingError, match="SlowDown"):
        await rows_of(reader, source)
    assert reader.read_keys == [data]


@pytest.mark.parametrize("missing", ["manifest.json", "manifest.checksum"])
async def test_a_missing_manifest_is_an_error(tmp_path: Path, missing: str) -> None:
    """Without the checksum an inventory is not complete yet."""
    objects, location, _ = inventory(tmp_path)
    del objects[location.key.replace("manifest.json", missing)]

    with pytest.raises(ListingError, match="S3 is still writing" if missing.endswith("checksum") else "NoSuchKey"):
        await open_source(StoredObjects(objects), location, BUCKET)


async def test_a_folder_means_its_manifest(tmp_path: Path) -> None:
    """A location that ends in a slash is the folder of a manifest."""
    objects, location, _ = inventory(tmp_path)
    folder = Location(location.bucket, location.key.removesuffix("manifest.json"))

    assert (await open_source(StoredObjects(objects), folder, BUCKET)).location == location


async def test_a_manifest_of_another_name_is_recognized(tmp_path: Path) -> None:
    """A manifest that was renamed is known by its members, and its checksum is beside it."""
    objects, location, _ = inventory(tmp_path)
    renamed = Location(location.bucket, location.key.replace("manifest.json", "today.json"))
    objects[renamed.key] = objects.pop(location.key)

    source = await open_source(StoredObjects(objects), renamed, BUCKET)
    assert source.source_format == "inventory"


async def test_the_inventory_of_another_bucket_is_an_error(tmp_path: Path) -> None:
    """An inventory is not read into the index of a bucket that it does not list."""
    objects, location, _ = inventory(tmp_path)

    with pytest.raises(ListingError, match="lists the bucket 'lake', not 'sea'"):
        await open_source(StoredObjects(objects), location, "sea")


@every_format
@pytest.mark.parametrize("damage", ["short", "long", "changed"])
async def test_a_damaged_file_is_an_error(
    tmp_path: Path, file_format: FileFormat, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file with fewer, more or other bytes than the manifest says is not read to a good end."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    objects, location, data = inventory(tmp_path / "bucket", file_format)
    body = objects[data]
    objects[data] = {
        "short": body[:-1],
        "long": body + b"\0",
        "changed": body[:-9] + bytes([body[-9] ^ 1]) + body[-8:],
    }[damage]
    reader = StoredObjects(objects)
    source = await open_source(reader, location, BUCKET)

    with pytest.raises(ListingError) as caught:
        await rows_of(reader, source)
    assert data in str(caught.value)
    assert caught.value.is_permanent == (damage != "short")
    assert reader.open_reads == 0
    assert names_in(tmp_path) == ["bucket"]


@pytest.mark.parametrize("file_format", ["CSV", "Parquet"])
async def test_a_reader_that_stops_early_leaves_nothing(tmp_path: Path, file_format: FileFormat) -> None:
    """Closing the rows, or cancelling their reader at any wait, closes the object and deletes the temporary file."""
    objects, location, _ = inventory(tmp_path / "bucket", file_format, 20_000)
    reader = StoredObjects(objects)
    source = await open_source(reader, location, BUCKET)
    folder = tmp_path / "copies"
    folder.mkdir()
    async with aclosing(read_file(reader, source, source.files[0], folder)) as batches:
        await anext(batches)
        assert len(names_in(folder)) == (file_format != "CSV")
    assert not names_in(folder)

    for turns in range(1, 60, 7):
        task = asyncio.create_task(_read_slowly(reader, source, folder), name="reader")
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert reader.open_reads == 0
        assert not names_in(folder)


async def test_a_disk_without_room_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that does not fit on the disk is not begun."""
    objects, location, data = inventory(tmp_path, "ORC")
    reader = StoredObjects(objects)
    source = await open_source(reader, location, BUCKET)
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("shutil.disk_usage", lambda place: usage)

    with pytest.raises(ListingError, match=rf"'{data}' needs \d+ bytes in {tmp_path}, but 10 are free: set TMPDIR"):
        await rows_of(reader, source, tmp_path)
    assert reader.read_keys[-1] != data


async def test_a_disk_that_fills_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that others fill meanwhile ends the copy in the same sentence, also where closing the copy fails again."""
    objects, location, data = inventory(tmp_path, "Parquet", 5000)
    reader = StoredObjects(objects)
    source = await open_source(reader, location, BUCKET)
    monkeypatch.setattr("tempfile.NamedTemporaryFile", lambda **_: Path("/dev/full").open("wb"))  # noqa: SIM115 - closed by the code under test

    with pytest.raises(ListingError, match=f"'{data}' needs .* but No space left on device: set TMPDIR"):
        await rows_of(reader, source, tmp_path)
    assert reader.open_reads == 0


def _without_prefix(folder: Path) -> Path:
    (folder / "inventory" / "lake" / "daily").rename(folder / "copied")
    return folder / "copied"


def _flat(folder: Path) -> Path:
    flat = folder / "flat"
    flat.mkdir()
    for path in list(folder.rglob("*.*")):
        path.rename(flat / path.name)
    return flat


@pytest.mark.parametrize("copied", [lambda folder: folder, _without_prefix, _flat])
async def test_an_inventory_that_was_copied_is_read(tmp_path: Path, copied: Callable[[Path], Path]) -> None:
    """A copy with its whole path, one without the destination's prefix, and all files in one folder are read."""
    versions = list(sample_versions(5, 400))
    write_inventory(tmp_path, versions, Written(rows_per_file=150))
    folder = copied(tmp_path)
    (manifest,) = folder.rglob("manifest.json")

    assert await inventory_rows(manifest) == versions


@pytest.mark.parametrize("key", ["../secret", "data/../../secret", "./secret", "sec\0ret"])
async def test_a_key_never_leaves_the_folder(tmp_path: Path, key: str) -> None:
    """A manifest from elsewhere cannot name a file outside of its folders."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "folder").mkdir()

    with pytest.raises(ListingError, match="NoSuchKey"):
        await anext(LocalFiles([tmp_path / "folder"]).read("b", key))


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("s3://b/a/manifest.json", Location("b", "a/manifest.json")),
        ("s3://b/a?b#c%20d", Location("b", "a?b#c%20d")),
        ("file:///a/b%20c.csv", Location("", "/a/b c.csv")),
        ("a/manifest.json", Location("", "a/manifest.json")),
    ],
)
def test_locations(text: str, location: Location) -> None:
    """An S3 key is taken as it is, a file URL is decoded, everything else is a path."""
    assert parse_location(text) == location
    assert location.is_local == (not location.bucket)


@pytest.mark.parametrize("text", ["s3://b", "s3:///k", "https://b.s3.amazonaws.com/k", "file://host/a"])
def test_other_locations_are_errors(text: str) -> None:
    """A URL of another kind is not read as a path."""
    with pytest.raises(ListingError, match=r"write s3://bucket/key"):
        parse_location(text)


async def test_gzip_of_several_members_is_read_whole(tmp_path: Path) -> None:
    """A file that was compressed in parts has several gzip members; the rows behind the first are not lost."""
    objects, location, data = inventory(tmp_path)
    text = gzip.decompress(objects[data])
    cut = text.index(b"\n", len(text) // 2) - 5
    objects[data] = gzip.compress(text[:cut]) + gzip.compress(text[cut:])
    _repaired(objects, location, data)
    reader = StoredObjects(objects)

    assert await rows_of(reader, await open_source(reader, location, BUCKET)) == list(sample_versions(1, 500))


def test_without_pyarrow_csv_is_read_and_others_are_one_sentence(tmp_path: Path) -> None:
    """CSV needs no extra; for the others the sentence names it, before a file is read."""
    manifests = [
        write_inventory(tmp_path / name, sample_versions(1, 50), Written(file_format=name))
        for name in get_args(FileFormat)
    ]
    program = (
        "import asyncio, sys; sys.modules['pyarrow'] = None\n"
        "from pathlib import Path; from tests.reconcile.inventory.reading import inventory_rows\n"
        "for path in sys.argv[1:]:\n"
        "    try: print(len(asyncio.run(inventory_rows(Path(path)))))\n"
        "    except Exception as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, manifests)], capture_output=True, text=True, check=True
    )
    sentence = "NoReader: inventories in Parquet and ORC need pyarrow: pip install 'subscriber[inventory]', or take CSV"
    assert done.stdout.splitlines() == ["50", sentence, sentence]


def _repaired(objects: dict[str, bytes], location: Location, data: str) -> None:
    """Make manifest and checksum fit the changed file."""
    manifest = msgspec.json.decode(objects[location.key])
    body = objects[data]
    manifest["files"] = [{"key": data, "size": len(body), "MD5checksum": hashlib.md5(body).hexdigest()}]
    objects[location.key] = msgspec.json.encode(manifest)
    checksum = hashlib.md5(objects[location.key]).hexdigest()
    objects[location.key.replace(".json", ".checksum")] = checksum.encode()


async def _read_slowly(reader: StoredObjects, source: Source, folder: Path) -> None:
    async with aclosing(read_file(reader, source, source.files[0], folder)) as batches:
        async for _ in batches:
            await asyncio.sleep(0)
    await asyncio.sleep(60)
