"""A source of listed versions: opened once, then read file by file, so that a job can continue with the next file.

Reading waits in two places only: for the reader's chunks, and for the thread that decodes Parquet and ORC.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from types import ModuleType
from typing import Protocol
from urllib.parse import unquote, urlsplit

import msgspec

from subscriber.errors import ListingError
from subscriber.model import ListedVersion
from subscriber.reconcile.inventory import fields
from subscriber.reconcile.inventory.csv_rows import CsvDecoder
from subscriber.reconcile.inventory.key_list import (
    BatchOperationsDecoder,
    JsonLinesDecoder,
    KeyCsvDecoder,
    SourceFormat,
    recognized,
)
from subscriber.reconcile.inventory.manifest import (
    MANIFEST_BYTES_AT_MOST,
    DataFile,
    Manifest,
    data_keys,
    parse_manifest,
)
from subscriber.reconcile.inventory.objects import LocalFiles, ObjectReader, read_first, read_whole
from subscriber.reconcile.inventory.text_blocks import RowText
from subscriber.reconcile.inventory.verified import spooled, verified

_MANIFEST = "manifest.json"
_CHECKSUM = "manifest.checksum"
_CHECKSUM_BYTES_AT_MOST = 1024
_HEAD_CHARACTERS = 64 * 1024


class Location(msgspec.Struct, frozen=True):
    """A file of a bucket, or on this machine where the bucket is empty; then the key is its path."""

    bucket: str
    key: str

    @property
    def is_local(self) -> bool:
        """Whether the file is on this machine."""
        return not self.bucket


class Source(msgspec.Struct, frozen=True):
    """What is known before the first row is read."""

    bucket: str
    """Whose objects are listed."""
    source_format: SourceFormat
    location: Location
    manifest: Manifest | None = None
    """Of an inventory."""

    @property
    def created_second(self) -> int | None:
        """Unix second at which the scan of an inventory began; None for a list of keys, which tells no time."""
        return None if self.manifest is None else self.manifest.created_second

    @property
    def files(self) -> tuple[DataFile, ...]:
        """The files to read; a list of keys is one file, of unknown size."""
        return (DataFile(self.location.key, 0, ""),) if self.manifest is None else self.manifest.files


class _Decoder(Protocol):
    """Makes listed versions of whole rows of text."""

    def decode(self, text: str) -> list[ListedVersion]: ...


def parse_location(text: str) -> Location:
    """The place that `s3://bucket/key`, `file:///path` or a path names.

    Raises:
        ListingError: it is another URL, or one without a key.
    """
    if "://" not in text:
        return Location("", text)
    parts = urlsplit(text)
    if parts.scheme == "file" and not parts.netloc:
        return Location("", unquote(parts.path))
    # Not of urlsplit: a key may have `?` and `#`, and is not URL-encoded in such a name.
    bucket, _, key = text.removeprefix("s3://").partition("/")
    if parts.scheme != "s3" or not bucket or not key:
        sentence = f"{text!r} names no file: write s3://bucket/key, file:///path or a path"
        raise ListingError("InvalidLocation", sentence, is_permanent=True)
    return Location(bucket, key)


def local_reader(location: Location) -> LocalFiles:
    """A reader of the files beside a local one: its own folder, and the one above, where `data/` of an inventory is."""
    folder = Path(location.key).resolve().parent
    return LocalFiles([folder, folder.parent])


async def open_source(
    reader: ObjectReader, location: Location, bucket: str, source_format: SourceFormat | None = None
) -> Source:
    """The source at a location, its manifest verified.

    Args:
        reader: Of S3, or `local_reader(location)`.
        location: manifest.json or its folder, or a list of keys.
        bucket: Whose objects are expected; another bucket's inventory or list is an error.
        source_format: None to recognize it by the first rows.

    Raises:
        ListingError: it cannot be read, is damaged or incomplete, of another bucket, or of no format that is known.
    """
    if location.key.endswith("/"):
        location = Location(location.bucket, location.key + _MANIFEST)
    if source_format is None:
        is_manifest = location.key.rpartition("/")[2] == _MANIFEST
        source_format = "inventory" if is_manifest else recognized(await _head(reader, location), bucket)
    if source_format != "inventory":
        return Source(bucket, source_format, location)
    manifest = await _manifest(reader, location)
    if manifest.source_bucket != bucket:
        sentence = f"the inventory lists the bucket {manifest.source_bucket!r}, not {bucket!r}: name the other one"
        raise ListingError("WrongBucket", sentence, is_permanent=True)
    if manifest.file_format != "CSV":
        # Before hours of work, not after them.
        _columnar()
    return Source(bucket, "inventory", location, manifest)


async def read_file(
    reader: ObjectReader, source: Source, file: DataFile, folder: Path | None = None
) -> AsyncGenerator[list[ListedVersion], None]:
    """The rows of one file of a source, unsorted, some hundred or thousand at a time.

    A caller that stops early closes the generator; a temporary file is deleted then.

    Args:
        reader: As for `open_source`.
        source: What `open_source` returned.
        file: One of its files.
        folder: Where a Parquet or ORC file is copied to while it is read; None for the folder of temporary files.

    Raises:
        ListingError: the file cannot be read to its end, is not the manifest's, or a row is invalid.
    """
    manifest = source.manifest
    if manifest is None:
        chunks = reader.read(source.location.bucket, file.key)
        rows = RowText(file.key, quotes=source.source_format == "keys-csv")
        batches = _text_batches(chunks, _list_decoder(source), rows)
    else:
        chunks = read_first(reader, manifest.destination_bucket, data_keys(manifest, file))
        if manifest.file_format == "CSV":
            decoder = CsvDecoder(file.key, manifest.columns, bucket=source.bucket, key_text=fields.url_decoded)
            # Keys are URL-encoded, and other columns have no line breaks.
            batches = _text_batches(verified(chunks, file), decoder, RowText(file.key, quotes=False))
        else:
            batches = _columnar_batches(chunks, manifest, file, folder)
    async with aclosing(batches):
        async for batch in batches:
            yield batch


async def _manifest(reader: ObjectReader, location: Location) -> Manifest:
    body = await read_whole(reader, location.bucket, location.key, MANIFEST_BYTES_AT_MOST)
    folder, slash, _ = location.key.rpartition("/")
    beside = folder + slash + _CHECKSUM
    try:
        checksum = await read_whole(reader, location.bucket, beside, _CHECKSUM_BYTES_AT_MOST)
    except ListingError as error:
        if error.code != "NoSuchKey":
            raise
        sentence = f"there is no {beside!r}: S3 is still writing this inventory, or the file was not copied with it"
        raise ListingError("NoSuchKey", sentence, is_permanent=True) from error
    return parse_manifest(body, checksum)


async def _head(reader: ObjectReader, location: Location) -> str:
    """The begin of a file as text: as much as tells its format, cut after a whole row where there is one."""
    rows, head = RowText(location.key, quotes=False), ""
    async with aclosing(reader.read(location.bucket, location.key)) as chunks:
        async for chunk in chunks:
            head += "".join(rows.feed(chunk))
            if len(head) >= _HEAD_CHARACTERS:
                return head
    return head + "".join(rows.finish())


async def _text_batches(
    chunks: AsyncGenerator[bytes, None], decoder: _Decoder, rows: RowText
) -> AsyncGenerator[list[ListedVersion], None]:
    async with aclosing(chunks):
        async for chunk in chunks:
            for text in rows.feed(chunk):
                yield decoder.decode(text)
                # Decoding a block takes about 2 ms; the loop has others to serve between two.
                await asyncio.sleep(0)
    for text in rows.finish():
        yield decoder.decode(text)


async def _columnar_batches(
    chunks: AsyncGenerator[bytes, None], manifest: Manifest, file: DataFile, folder: Path | None
) -> AsyncGenerator[list[ListedVersion], None]:
    loop = asyncio.get_running_loop()
    async with spooled(chunks, file, folder) as path:
        batches = _columnar().read_columns(path, manifest.file_format, file.key, manifest.source_bucket)
        # One thread for the whole file: where several take turns, each keeps memory of its own (145 MB instead of 110).
        # A caller that stops waits for the batch that is being decoded, a few milliseconds.
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="inventory") as thread:
            while batch := await loop.run_in_executor(thread, next, batches, None):
                yield batch


def _columnar() -> ModuleType:
    """The module that reads Parquet and ORC.

    Raises:
        ListingError: pyarrow is not installed.
    """
    try:
        return importlib.import_module("subscriber.reconcile.inventory.columnar")
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        sentence = "inventories in Parquet and ORC need pyarrow: pip install 'subscriber[inventory]', or take CSV"
        raise ListingError("NoReader", sentence, is_permanent=True) from error


def _list_decoder(source: Source) -> _Decoder:
    decoders: dict[str, Callable[[str, str], _Decoder]] = {
        "batch-operations": BatchOperationsDecoder,
        "keys-csv": KeyCsvDecoder,
        "json-lines": JsonLinesDecoder,
    }
    return decoders[source.source_format](source.location.key, source.bucket)
