"""The files of an inventory as ranges of a job, without I/O.

A range of a job has texts as its ends, keys for a listing. Of an inventory they are numbers of files, written with
DIGITS digits so that they sort as texts do; the position in a file adds the number of its rows that are done.
"""

from __future__ import annotations

import hashlib
from typing import Final

from subscriber.errors import ListingError
from subscriber.jobs import JobRange
from subscriber.model import KeyRange
from subscriber.reconcile.inventory.source import Source

DIGITS: Final = 8
"""Of a file's number: more files than MANIFEST_BYTES_AT_MOST can name."""
_ROW_DIGITS: Final = 15


def file_ranges(source: Source) -> tuple[KeyRange, ...]:
    """A range for each file of the source, in its order."""
    return tuple(KeyRange(_name(number), _name(number + 1)) for number in range(len(source.files)))


def file_number(held: JobRange) -> int:
    """Which of the source's files a range is, from 0.

    Raises:
        ListingError: the range is not one of `file_ranges`.
    """
    name = held.keys.after
    if len(name) != DIGITS or not (name.isascii() and name.isdigit()) or held.keys.upto != _name(int(name) + 1):
        sentence = f"range {held.number} of job {held.job_id} is no file of an inventory"
        raise ListingError("InvalidRange", sentence, is_permanent=True)
    return int(name)


def position_after(held: JobRange, rows: int) -> str:
    """The position in the file of a range of which so many rows are done; after the last one it is the range's end."""
    return f"{held.keys.after}/{rows:0{_ROW_DIGITS}d}"


def rows_done(held: JobRange) -> int:
    """How many rows of the file are done."""
    _, _, rows = (held.position or "").partition("/")
    return int(rows) if rows else 0


def digest_of(source: Source) -> str:
    """What tells the source from another one at the same place; empty for a list of keys, which has no checksum."""
    if source.manifest is None:
        return ""
    digest = hashlib.sha256(str(source.manifest.created_second).encode())
    for file in source.files:
        digest.update(f"\n{file.key}\n{file.md5}".encode())
    return digest.hexdigest()


def _name(number: int) -> str:
    return f"{number:0{DIGITS}d}"
