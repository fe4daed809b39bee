"""Texts of a row into typed values, each by the type of its column and never by its looks.

A reader that guesses makes the number 123 of the key `000123` and nothing of the key `NULL`: two rows that are then
those of other objects, or of none.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from subscriber.events.key import LONGEST_ENCODED_KEY, decode_form

UNKNOWN_SECOND: Final = 0
"""`last_modified` of a row whose source does not tell it."""

_BOOLEANS = {"true": True, "false": False, "": False}
_STRAY_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")


def url_decoded(text: str) -> str:
    """A key without its URL encoding, in which a space is `+`; decoded once.

    Raises:
        ValueError: it is longer than an encoded key can be, a `%` begins no two hexadecimal digits, or the bytes are
            not UTF-8.
    """
    if len(text) > LONGEST_ENCODED_KEY:
        raise ValueError(f"the key has {len(text)} characters")
    if "%" in text and _STRAY_PERCENT.search(text):
        raise ValueError(f"the key {text[:200]!r} is not URL-encoded")
    return decode_form(text)


def boolean(text: str) -> bool:
    """`true` or `false`; an empty text is false.

    Raises:
        ValueError: it is another text.
    """
    found = _BOOLEANS.get(text)
    if found is None:
        found = _BOOLEANS.get(text.lower())
    if found is None:
        raise ValueError(f"{text[:40]!r} is neither true nor false")
    return found


def whole_number(text: str) -> int | None:
    """A number of ASCII digits; None for an empty text.

    Raises:
        ValueError: it is another text. Python's own `int` would take `1_000` and digits of other scripts.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text[:40]!r} is no whole number")
    return int(text)


def unix_second(text: str) -> int:
    """The Unix second of an ISO 8601 time, UTC where it names no zone; UNKNOWN_SECOND for an empty text.

    Raises:
        ValueError: it is no such time.
    """
    if not text:
        return UNKNOWN_SECOND
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    # The floor, as S3's listings cut it: int() would round times before 1970 up.
    return int(moment.timestamp() // 1)


def version(text: str | None) -> str:
    """A version id as the index has it: that of the null version is empty."""
    return "" if text is None or text == "null" else text
