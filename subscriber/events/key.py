"""Object keys and other names in a record: decoded once, measured, never altered.

Keys in AWS's native notifications are form-encoded (space is `+`, `+` is `%2B`, the rest percent-encoded UTF-8). Keys
in EventBridge events, and those of some other senders, are plain; decoding them would corrupt every key with a `%` or
`+`. To S3 a key is a string of bytes: case folding, Unicode normalization or trimming would merge two objects into one
row.
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
"""S3 allows 63; old buckets in us-east-1 may have 255."""
MAX_ETAG_BYTES: Final = 255
"""Our own limit: S3 sends 32 hex digits, or these with `-` and a number of parts; other stores send anything."""


def decode_form(text: str) -> str:
    """A native key without its form encoding.

    Strict, because a replacement character would merge two keys into one row.

    Args:
        text: At most LONGEST_ENCODED_KEY characters, since a part of it is cached.

    Raises:
        UnicodeDecodeError: the percent-encoded bytes are not UTF-8.
    """
    folder, slash, name = text.replace("+", " ").rpartition("/")
    return f"{_unquoted_folder(folder)}{slash}{_unquoted(name)}"


def _unquoted(text: str) -> str:
    # The same result as unquote(text, errors="strict") in half the time: this is the hot path.
    return unquote_to_bytes(text).decode() if "%" in text else text


_unquoted_folder = functools.lru_cache(maxsize=1024)(_unquoted)
"""Objects of one folder arrive together. No character's bytes span a `/`, so each side is decoded separately."""


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
