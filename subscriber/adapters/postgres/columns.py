"""Converts rows to the parameters of the upsert; each text column becomes one joined text.

asyncpg checks for every element of an array whether it is an array itself, which costs more than the rest of binding
it. So we join the texts of a column and the server splits them, at no measurable cost to it
(docs/explanation/performance.md). Nothing is escaped: the separator is a character that no text of these rows contains.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import msgspec

from subscriber.errors import StoreError, Treatment
from subscriber.model import DetailedEvent, ObjectEvent, StorageFact

UNIT_SEPARATOR: Final = "\x1f"
"""The separator of ASCII. S3 allows it in keys, but it is rare there."""

_SURROGATES: Final = range(0xD800, 0xE000)
_CODE_POINTS: Final = range(1, 0x110000)

Parameters: TypeAlias = tuple[object, ...]

_CONTENT: Final = len(ObjectEvent.__struct_fields__)
_DETAILS: Final = DetailedEvent.__struct_fields__[_CONTENT:]


def writes_of(rows: Sequence[ObjectEvent]) -> list[tuple[str, Parameters]]:
    """The statements that store `rows`, with their parameters; each commits by itself.

    Contents come first, because a fact changes only a row that exists. In one transaction the two could deadlock with
    another writer's, since each locks its rows from the first key on.

    Raises:
        StoreError: BISECT, if the rows use every character.
    """
    kinds = set(map(type, rows))
    if kinds == {ObjectEvent}:
        return [("upsert", upsert_parameters(rows))]
    contents = [row for row in rows if not isinstance(row, StorageFact)]
    facts = [row for row in rows if isinstance(row, StorageFact)]
    writes: list[tuple[str, Parameters]] = []
    if contents and DetailedEvent in kinds:
        writes.append(("upsert_detailed", detailed_parameters(contents)))
    elif contents:
        writes.append(("upsert", upsert_parameters(contents)))
    if facts:
        writes.append(("storage_facts", fact_parameters(facts)))
    return writes


def upsert_parameters(rows: Sequence[ObjectEvent]) -> Parameters:
    """The parameters of upsert.sql: one per column, in the order of the fields, then the separator.

    `strict` matters: the server would silently pad columns of different lengths with NULLs.

    Raises:
        StoreError: BISECT, if the rows use every character.
    """
    columns = list(zip(*map(msgspec.structs.astuple, rows), strict=True))
    *names, times, sizes, etags = columns
    joined, separator = _separated([*names, [etag or "" for etag in etags]])
    return (*joined[:-1], times, sizes, joined[-1], separator)


def detailed_parameters(rows: Sequence[ObjectEvent]) -> Parameters:
    """The parameters of upsert_detailed.sql: those of upsert.sql, then one for each detail; None where no row has any.

    Raises:
        StoreError: BISECT, if the rows use every character.
    """
    columns = list(zip(*(msgspec.structs.astuple(row)[:_CONTENT] for row in rows), strict=True))
    *names, times, sizes, etags = columns
    details = {name: [getattr(row, name, None) for row in rows] for name in _DETAILS}
    multipart = details.pop("is_multipart")
    texts = {name: [text or "" for text in values] for name, values in details.items() if any(values)}
    joined, separator = _separated([*names, [etag or "" for etag in etags], *texts.values()])
    given: dict[str, object] = {**dict(zip(texts, joined[len(names) + 1 :], strict=True))}
    given["is_multipart"] = multipart if any(one is not None for one in multipart) else None
    return (
        *joined[: len(names)], times, sizes, joined[len(names)], separator,
        *(given.get(name) for name in _DETAILS),
    )  # fmt: skip


def fact_parameters(facts: Sequence[StorageFact]) -> Parameters:
    """The parameters of storage_facts.sql: one row for each version, then the separator.

    Args:
        facts: of each version and kind at most one.

    Raises:
        StoreError: BISECT, if the rows use every character.
    """
    merged: dict[tuple[str, str, str], list[StorageFact | None]] = {}
    for fact in facts:
        merged.setdefault((fact.bucket, fact.key, fact.version_id), [None, None])[fact.is_about_restore] = fact
    rows = [
        (
            *version,
            *((storage.sequencer, storage.storage_class or "", storage.access_tier or "") if storage else ("", "", "")),
            restore.sequencer if restore else "",
        )
        for version, (storage, restore) in merged.items()
    ]
    untils = [restore.restored_until if restore else None for _, restore in merged.values()]
    joined, separator = _separated(list(zip(*rows, strict=True)))
    return (*joined, untils, separator)


def version_parameters(rows: Sequence[ObjectEvent]) -> Parameters:
    """The parameters of locked_rows.sql: bucket, key and version id, then the separator.

    Raises:
        StoreError: BISECT, if the rows use every character.
    """
    joined, separator = _separated(
        [[one.bucket for one in rows], [one.key for one in rows], [one.version_id for one in rows]]
    )
    return (*joined, separator)


def unused_character(text: str) -> str:
    """The first character, in the order of code points, that `text` does not contain.

    Raises:
        StoreError: BISECT: there is none. A message of a megabyte cannot contain all, so bisection ends.
    """
    used = set(text)
    for code in _CODE_POINTS:
        if code not in _SURROGATES and chr(code) not in used:
            return chr(code)
    raise StoreError(Treatment.BISECT, "no_separator", None, "the texts of these rows use up all of Unicode")


def _separated(texts: Sequence[Sequence[str]]) -> tuple[list[str], str]:
    """Each column as one text, and the separator, which no value contains."""
    joined = _joined(texts, UNIT_SEPARATOR)
    if all(text.count(UNIT_SEPARATOR) == len(column) for text, column in zip(joined, texts, strict=True)):
        return joined, UNIT_SEPARATOR
    separator = unused_character("".join(joined))
    return _joined(texts, separator), separator


def _joined(texts: Iterable[Sequence[str]], separator: str) -> list[str]:
    # A separator follows every text: with separators only in between, one empty text would look like no text.
    return [f"{separator.join(column)}{separator}" for column in texts]
