"""Where the files of an inventory are read from: S3, or folders they were copied to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Protocol

from subscriber.errors import ListingError

_CHUNK_BYTES = 256 * 1024
_ABSENT = frozenset({"NoSuchKey", "AccessDenied"})
"""S3 answers a GetObject of a missing key with AccessDenied where the role may not list (API reference, GetObject)."""


class ObjectReader(Protocol):
    """Reads whole objects."""

    def read(self, bucket: str, key: str) -> AsyncGenerator[bytes, None]:
        """The object's bytes in chunks, in order; a caller that stops early closes the generator.

        Raises:
            ListingError: with S3's code; `NoSuchKey` where there is no such object, before any chunk.
        """
        ...


class LocalFiles:
    """Objects as files: a key is the longest of its tails that exists in one of the folders.

    So an inventory may be copied with its whole path, without its destination prefix, or into one folder.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folder.resolve() for folder in folders)

    async def read(self, bucket: str, key: str) -> AsyncGenerator[bytes, None]:  # noqa: ARG002 - of the protocol
        """As ObjectReader; the bucket's name does not matter."""
        path = await asyncio.to_thread(self._find, key)
        if path is None:
            folders = ", ".join(map(str, self._folders))
            raise ListingError("NoSuchKey", f"no file of the folders {folders} is {key!r}: copy it", is_permanent=True)
        try:
            with path.open("rb") as file:
                while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
                    yield chunk
        except OSError as error:
            raise ListingError("Unreadable", f"{path} cannot be read: {error.strerror}", is_permanent=True) from error

    def _find(self, key: str) -> Path | None:
        # Empty parts vanish, as they do where a key with `//` is copied to a disk. A part `..` would leave the folder.
        parts = [part for part in key.split("/") if part]
        if any(part in {".", ".."} or "\0" in part for part in parts):
            return None
        tails = (Path(*parts[start:]) for start in range(len(parts)))
        return next((folder / tail for tail in tails for folder in self._folders if (folder / tail).is_file()), None)


async def read_first(reader: ObjectReader, bucket: str, keys: Sequence[str]) -> AsyncGenerator[bytes, None]:
    """The bytes of the first of the keys that exists.

    Raises:
        ListingError: of the reader; where no key exists, one that names them all.
    """
    failure: ListingError | None = None
    for key in keys:
        chunks = reader.read(bucket, key)
        try:
            first = await anext(chunks, b"")
        except ListingError as error:
            if error.code not in _ABSENT:
                raise
            failure = failure or error
            continue
        async with aclosing(chunks):
            yield first
            async for chunk in chunks:
                yield chunk
        return
    names = " nor ".join(repr(key) for key in keys)
    raise ListingError(
        failure.code if failure else "NoSuchKey",
        f"the bucket {bucket} has neither {names}, or this role may not read it:"
        " allow s3:GetObject on the inventory, or copy the inventory with all of its files",
        is_permanent=True,
    ) from failure


async def read_whole(reader: ObjectReader, bucket: str, key: str, limit_bytes: int) -> bytes:
    """A small object at once.

    Raises:
        ListingError: of the reader, or because the object has more than `limit_bytes`.
    """
    body = bytearray()
    async with aclosing(reader.read(bucket, key)) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > limit_bytes:
                sentence = f"{key!r} has more than {limit_bytes} bytes: it is not the manifest of an inventory"
                raise ListingError("EntityTooLarge", sentence, is_permanent=True)
    return bytes(body)
