"""Conditions on metadata, as in tags.project=x: their grammar. Pure.

[!]PART.NAME[=VALUE], or [!]content_type[=VALUE], or [!]metadata. The name ends at the first equals sign.
"""

from __future__ import annotations

from typing import Final, NamedTuple

PARTS: Final = ("tags", "meta", "checksum", "encryption", "object_lock")
CONTENT_TYPE: Final = "content_type"
ANY: Final = "metadata"
_CHARACTERS_AT_MOST: Final = 4096
"""User metadata of an object has 2 KB at most (Amazon S3, "Working with object metadata")."""


class Term(NamedTuple):
    """One condition."""

    is_negated: bool
    part: str
    name: str
    """Empty of a part that has no names."""
    value: str | None
    """None: any value."""


def parse_term(text: str) -> Term:
    """A condition of its text.

    Raises:
        ValueError: it has another form.
    """
    if not 0 < len(text) <= _CHARACTERS_AT_MOST or "\0" in text or not text.isprintable():
        raise ValueError(f"it has no character, more than {_CHARACTERS_AT_MOST}, or one that is not printable")
    rest, sign, value = text.removeprefix("!").partition("=")
    part, dot, name = rest.partition(".")
    found = Term(text.startswith("!"), part, name.lower() if part == "meta" else name, value if sign else None)
    if part in {CONTENT_TYPE, ANY}:
        if dot or (part == ANY and sign):
            raise ValueError(f"write {CONTENT_TYPE}=VALUE, or {ANY} for what is known at all")
    elif part not in PARTS or not name:
        raise ValueError(f"write PART.NAME=VALUE, where PART is {', '.join(PARTS)}; or {CONTENT_TYPE}=VALUE")
    return found


def document_of(term: Term) -> dict[str, object]:
    """What a document contains that meets a condition with a value."""
    return {term.part: {term.name: term.value} if term.name else term.value}
