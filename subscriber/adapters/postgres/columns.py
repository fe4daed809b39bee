"""Rows as the parameters of the upsert: a column of text goes over as one text.

asyncpg asks of every element of an array whether it is an array itself, which costs more than all the rest of binding
it. So the texts of a column are joined here and taken apart by the server, which costs it nothing measurable
(docs/performance.md). Nothing is escaped: the separator is a character that no text of these rows contains.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import msgspec

from subscriber.errors import StoreError, Treatment
from subscriber.model import ObjectEvent

UNIT_SEPARATOR: Final = "\x1f"
"""What ASCII has it for. S3 allows it in keys, and hardly anyone uses it."""

_SURROGATES: Final = range(0xD800, 0xE000)
_CODE_POINTS: Final = range(1, 0x110000)

Parameters: TypeAlias = tuple[object, ...]


def upsert_parameters(rows: Sequence[ObjectEvent]) -> Parameters:
    """The parameters of upsert.sql: a column each, in the order of the fields, and the separator.

    Columns of different lengths would be filled up with NULLs by the server, without a word: strict is meant.

    Raises:
        StoreError: HALVE, where the rows hold every character there is.
    """
    columns = list(zip(*map(msgspec.structs.astuple, rows), strict=True))
    *names, times, sizes, etags = columns
    texts = [*names, [etag or "" for etag in etags]]
    separator = UNIT_SEPARATOR
    joined = _joined(texts, separator)
    if any(text.count(separator) != len(rows) for text in joined):
        separator = unused_character("".join(joined))
        joined = _joined(texts, separator)
    return (*joined[:-1], times, sizes, joined[-1], separator)


def unused_character(text: str) -> str:
    """The first character, in the order of code points, that `text` does not contain.

    Raises:
        StoreError: HALVE: there is none. A message of a megabyte cannot hold them all, so halving ends.
    """
    used = set(text)
    for code in _CODE_POINTS:
        if code not in _SURROGATES and chr(code) not in used:
            return chr(code)
    raise StoreError(Treatment.BISECT, "no_separator", None, "the texts of these rows use up all of Unicode")


def _joined(texts: Iterable[Sequence[str]], separator: str) -> list[str]:
    # Behind every text, not between them: else one empty text would look like none.
    return [f"{separator.join(column)}{separator}" for column in texts]
