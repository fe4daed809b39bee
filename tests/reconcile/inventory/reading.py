"""Opens and reads sources of the tests, and writes lists of keys."""

from __future__ import annotations

import gzip
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path

from subscriber.errors import ListingError
from subscriber.model import ListedVersion
from subscriber.reconcile.inventory.key_list import SourceFormat
from subscriber.reconcile.inventory.objects import ObjectReader
from subscriber.reconcile.inventory.source import Location, Source, local_reader, open_source, parse_location, read_file

BUCKET = "lake"


class StoredObjects:
    """Objects of a bucket in memory, in chunks of some bytes; a missing key answers with `absent_code`."""

    def __init__(
        self, objects: Mapping[str, bytes], *, chunk_bytes: int = 1000, absent_code: str = "NoSuchKey"
    ) -> None:
        self._objects = objects
        self._chunk_bytes = chunk_bytes
        self._absent_code = absent_code
        self.open_reads = 0
        self.read_keys: list[str] = []

    async def read(self, bucket: str, key: str) -> AsyncGenerator[bytes, None]:
        """As ObjectReader."""
        self.read_keys.append(key)
        if key not in self._objects:
            raise ListingError(self._absent_code, f"no {key} in {bucket}", is_permanent=True)
        body = self._objects[key]
        self.open_reads += 1
        try:
            for start in range(0, len(body), self._chunk_bytes):
                yield body[start : start + self._chunk_bytes]
        finally:
            self.open_reads -= 1


def objects_below(folder: Path) -> dict[str, bytes]:
    """All files of a folder as objects."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def rows_of(reader: ObjectReader, source: Source, folder: Path | None = None) -> list[ListedVersion]:
    """All rows of a source."""
    rows: list[ListedVersion] = []
    for file in source.files:
        async with aclosing(read_file(reader, source, file, folder)) as batches:
            async for batch in batches:
                rows += batch
    return rows


async def inventory_rows(manifest: Path) -> list[ListedVersion]:
    """All rows of an inventory on this machine."""
    location = parse_location(str(manifest))
    reader = local_reader(location)
    return await rows_of(reader, await open_source(reader, location, BUCKET))


async def list_rows(
    body: bytes, source_format: SourceFormat | None = None, *, compress: bool = False
) -> list[ListedVersion]:
    """All rows of a list of keys."""
    reader = StoredObjects({"list": gzip.compress(body) if compress else body}, chunk_bytes=7)
    source = await open_source(reader, Location("lists", "list"), BUCKET, source_format)
    return await rows_of(reader, source)
