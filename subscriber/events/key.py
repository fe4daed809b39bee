"""Object keys and the other names in a record: decoded once, measured, never changed.

Keys in native notifications are form-encoded (space is `+`, `+` is `%2B`, the rest percent-encoded UTF-8); keys in
EventBridge events are plain, and decoding those would corrupt every key with a `%` or `+` in it. A key is a
string of bytes to S3: no case folding, no Unicode normalization, no trimming, or two objects become one row.
"""

from __future__ import annotations

import functools
from typing import Final
from urllib.parse import unquote_to_bytes

MAX_KEY_BYTES: Final = 1024
"""UTF-8 bytes; S3 user guide, "Naming Amazon S3 objects"."""
LONGEST_ENCODED_KEY: Final = 3 * MAX_KEY_BYTES
"""Characters: each byte as a percent sign and two digits."""
MAX_VERSION_ID_BYTES: Final = 1024
"""UTF-8 bytes; S3 user guide, "Version IDs"."""
MAX_BUCKET_BYTES: Final = 255
"""S3 allows 63; buckets of its first years, in us-east-1, may have 255."""
MAX_ETAG_BYTES: Final = 255
"""Ours: S3 sends 32 hex digits, and `-` with a number of parts; other stores send what they like."""


def decode_form(text: str) -> str:
    """A native key without its form encoding.

    Strict, because the usual replacement character would make one row of two keys.

    Args:
        text: of LONGEST_ENCODED_KEY characters at most, for part of it is remembered.

    Raises:
        UnicodeDecodeError: the percent-encoded bytes are not UTF-8.
    """
    folder, slash, name = text.replace("+", " ").rpartition("/")
    return f"{_unquoted_folder(folder)}{slash}{_unquoted(name)}"


def _unquoted(text: str) -> str:
    # What unquote(text, errors="strict") gives, in half its time: this is the hot path.
    return unquote_to_bytes(text).decode() if "%" in text else text


_unquoted_folder = functools.lru_cache(maxsize=1024)(_unquoted)
"""Objects come in folders. No character's bytes lie on both sides of a `/`, so each side is decoded by itself."""


def is_storable(text: str, limit_bytes: int) -> bool:
    """Whether PostgreSQL can hold `text`, within `limit_bytes` of UTF-8: no NUL, no lone surrogate."""
    if len(text) > limit_bytes or "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        return len(text.encode()) <= limit_bytes
    except UnicodeEncodeError:
        return False
