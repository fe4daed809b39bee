"""What one page of a listing says: its entries and its envelope. Pure.

Both operations have one flat form: a root, elements with one text each (the envelope), and entries whose elements have
one text each ("ListObjectVersions" and "ListObjectsV2", S3 API reference). Elements that no rule names are ignored.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, TypeAlias

import msgspec

from subscriber.errors import ListingError
from subscriber.events.key import LONGEST_ENCODED_KEY, decode_form
from subscriber.model import ListedVersion

ETAG_FIELD: Final = "ETag"
FIELDS: Final = ("Key", "VersionId", "IsLatest", "LastModified", "ETag", "Size", "StorageClass")
"""The elements of an entry that are read."""
ENTRIES: Final = ("Version", "DeleteMarker", "Contents")
"""The elements that are entries; `Contents` are those of ListObjectsV2."""

RawEntry: TypeAlias = tuple[str, ...]
"""The entry's element, then the text of each of FIELDS, "" where it is absent. An ETag is without its quotes."""

_NULL_VERSION = "null"
_SECONDS_CACHED = 4096
"""Neighbors in a listing were often stored in the same seconds."""
_BOOLEANS = {"true": True, "false": False}


class RawPage(msgspec.Struct, frozen=True):
    """A page as its XML has it: nothing is decoded, nothing is believed."""

    entries: Sequence[RawEntry]
    envelope: Mapping[str, str]
    """The elements with a text beside the entries, such as `IsTruncated`."""


class Page(msgspec.Struct, frozen=True):
    """A page whose values are decoded."""

    entries: Sequence[ListedVersion]
    is_truncated: bool
    """Whether the listing goes on after this page."""
    next_key: str
    """`NextKeyMarker`, decoded once; empty where the page has none."""
    next_version: str
    """`NextVersionIdMarker`, as it is: version ids are not encoded."""
    next_token: str
    """`NextContinuationToken` of ListObjectsV2: opaque, sent as it is."""


def broken_page(reason: str) -> ListingError:
    """The error of a page that is not S3's: a retry may bring a whole one."""
    return ListingError("InvalidPage", reason)


def unquoted(etag: str) -> str:
    """An ETag without the quotes around it."""
    return etag[1:-1] if len(etag) > 1 and etag[0] == etag[-1] == '"' else etag


def decoded_page(raw: RawPage) -> Page:
    """Decode a page.

    Raises:
        ListingError: a value is missing or is none of its kind.
    """
    envelope = raw.envelope
    is_encoded = envelope.get("EncodingType") == "url"
    is_truncated = _BOOLEANS.get(envelope.get("IsTruncated", ""))
    if is_truncated is None:
        raise broken_page("it does not tell whether the listing goes on (IsTruncated)")
    next_key = envelope.get("NextKeyMarker", "")
    try:
        entries = _decoded(raw.entries, is_encoded=is_encoded)
        return Page(
            entries,
            is_truncated,
            decode_form(next_key) if is_encoded else next_key,
            envelope.get("NextVersionIdMarker", ""),
            envelope.get("NextContinuationToken", ""),
        )
    except (ValueError, OverflowError) as error:  # UnicodeDecodeError is a ValueError
        raise broken_page(f"one of its values is invalid: {error}") from error


def _decoded(raw: Sequence[RawEntry], *, is_encoded: bool) -> list[ListedVersion]:
    entries = []
    for kind, key, version, latest, modified, etag, size, storage_class in raw:
        if not 0 < len(key) <= LONGEST_ENCODED_KEY:
            raise broken_page(f"an entry has a key of {len(key)} characters")
        plain = decode_form(key) if is_encoded and ("%" in key or "+" in key) else key
        is_marker = kind == "DeleteMarker"
        entries.append(
            ListedVersion(
                plain,
                "" if version == _NULL_VERSION else version,
                is_marker,
                latest == "true" or kind == "Contents",
                _second_of(modified),
                None if is_marker else int(size),
                None if is_marker else etag or None,
                None if is_marker else storage_class or None,
            )
        )
    return entries


@functools.lru_cache(maxsize=_SECONDS_CACHED)
def _second_of(modified: str) -> int:
    """The second in which a time lies; some servers give milliseconds."""
    moment = datetime.fromisoformat(modified)
    if moment.tzinfo is None:
        raise ValueError(f"{modified} has no time zone")
    return math.floor(moment.timestamp())
