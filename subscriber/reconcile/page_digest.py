"""The digest of a page of a listing: if the index gives the same for the same keys, nothing on the page differs.

So a page without drift costs one small answer instead of a row for each version. A digest that differs only says that
the page is to be compared row by row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from subscriber.model import ListedVersion

SEPARATOR = "\x1f"
"""The separator of ASCII. S3 allows it in keys, but it is rare there."""
_MARKER = "d"
"""In place of a size, which has digits only. S3 lists neither size nor ETag of a delete marker, and its events tell
both, so they do not count."""
_FIELDS = 4


class PageDigest(msgspec.Struct, frozen=True):
    """What the index is asked about a page; as index_digest.sql defines it."""

    separator: str
    versions: int
    digest: bytes
    """SHA-256 of the page's text."""


def page_digest(page: Sequence[ListedVersion]) -> PageDigest | None:
    """The digest of whole stacks in the order of their listing; None if a text contains the separator."""
    text = page_text(page)
    if text.count(SEPARATOR) != _FIELDS * len(page):
        return None
    return PageDigest(SEPARATOR, len(page), hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())


def page_text(page: Sequence[ListedVersion]) -> str:
    """Key, version id, size and ETag of each version, each followed by the separator."""
    end = SEPARATOR
    return "".join(
        [
            f"{each.key}{end}{each.version_id}{end}{_MARKER}{end}{end}"
            if each.is_marker
            else f"{each.key}{end}{each.version_id}{end}{_or_empty(each.size_bytes)}{end}{each.etag or ''}{end}"
            for each in page
        ]
    )


def _or_empty(size_bytes: int | None) -> int | str:
    return "" if size_bytes is None else size_bytes
