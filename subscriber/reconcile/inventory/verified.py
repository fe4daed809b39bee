"""Bytes that are what their manifest says: passed on, or kept in a temporary file, and compared at their end."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import IO

from subscriber.errors import ListingError
from subscriber.reconcile.inventory.manifest import DataFile


async def verified(chunks: AsyncGenerator[bytes, None], file: DataFile) -> AsyncGenerator[bytes, None]:
    """The chunks as they are; their end comes only if they were the whole file.

    Rows that were made of them before the error stand: S3 wrote them, and what an inventory tells is only added.

    Raises:
        ListingError: the bytes are more or fewer than the manifest tells, or have another MD5.
    """
    digest = hashlib.md5(usedforsecurity=False)
    size_bytes = 0
    async with aclosing(chunks):
        async for chunk in chunks:
            size_bytes += len(chunk)
            if size_bytes > file.size_bytes:
                raise _mismatch(file, "has more bytes")
            digest.update(chunk)
            yield chunk
    if size_bytes < file.size_bytes:
        raise ListingError("IncompleteBody", f"{file.key!r} ended at {size_bytes} of {file.size_bytes} bytes: repeat")
    if digest.hexdigest() != file.md5.lower():
        raise _mismatch(file, f"has the MD5 {digest.hexdigest()} instead of {file.md5}")


@asynccontextmanager
async def spooled(chunks: AsyncGenerator[bytes, None], file: DataFile, folder: Path | None) -> AsyncIterator[Path]:
    """A temporary copy of a data file, verified before it is given and deleted at the end.

    Parquet and ORC are read from their end, so that a stream is not enough. One file at a time is on the disk.

    Args:
        chunks: The bytes of the file.
        file: What the manifest tells of it.
        folder: Where the copy is made; None for the system's folder of temporary files (`TMPDIR`).

    Raises:
        ListingError: the bytes are not the file's, or the disk is too small for them.
    """
    place = folder or Path(tempfile.gettempdir())
    free_bytes = shutil.disk_usage(place).free
    if free_bytes < file.size_bytes:
        await chunks.aclose()
        raise _disk_full(file, place, f"{free_bytes} are free")
    is_copied = False
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix="subscriber-inventory-") as copy:
            await _copied(verified(chunks, file), copy)
            is_copied = True
            yield Path(copy.name)
    except OSError as error:
        # Closing the copy fails once more on a full disk, so that the error is caught outside of it.
        if is_copied:
            raise
        raise _disk_full(file, place, f"{error.strerror}") from error


async def _copied(chunks: AsyncGenerator[bytes, None], copy: IO[bytes]) -> None:
    async with aclosing(chunks):
        async for chunk in chunks:
            await asyncio.to_thread(copy.write, chunk)
    await asyncio.to_thread(copy.flush)


def _mismatch(file: DataFile, what: str) -> ListingError:
    sentence = f"{file.key!r} {what}, so it is not the file of this manifest: take a newer inventory, or copy it again"
    return ListingError("BadDigest", sentence, is_permanent=True)


def _disk_full(file: DataFile, place: Path, why: str) -> ListingError:
    sentence = f"{file.key!r} needs {file.size_bytes} bytes in {place}, but {why}: set TMPDIR to a larger disk"
    return ListingError("DiskFull", sentence, is_permanent=True)
