"""The chain of requests that lists one range: what to ask next, and what of a page is new. Pure.

Not every server pages as S3 does: some turn in a circle, some tell the marker's own entry again, some give longer pages
than asked (findings/). A chain that does not go forward is an error and never a loop; an entry told again is taken
once; a longer page is taken.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from subscriber.adapters.s3.page import Page
from subscriber.errors import ListingError
from subscriber.model import KeyRange, ListedVersion

Operation: TypeAlias = Literal["ListObjectVersions", "ListObjectsV2"]

KEYS_PER_PAGE = 1000
"""The most that S3 gives (ListObjectVersions, S3 API reference)."""
EMPTY_PAGES_AT_MOST = 1000
"""In a row. S3 may give a page without entries and go on; a server that never comes to an entry is broken."""


class Listing(msgspec.Struct, frozen=True):
    """What is asked in every request of a chain."""

    operation: Operation
    prefix: str = ""
    keys_per_page: int = KEYS_PER_PAGE


class Chain:
    """Alternates between `parameters` of the next request and `take` of its page, until `is_ended`.

    Args:
        listing: the operation and its constant parameters.
        keys: the range to list.
    """

    def __init__(self, listing: Listing, keys: KeyRange) -> None:
        self._listing = listing
        self._keys = keys
        self._next_key = keys.after if keys.after >= listing.prefix else ""
        self._next_version = ""
        self._next_token = ""
        self._last_key = keys.after
        self._last_versions: frozenset[str] = frozenset()
        self._markers_of_key: set[str] = set()
        self._empty_pages = 0
        self.is_ended = not _may_have_keys(keys, listing.prefix)
        """Whether the whole range was listed."""

    def parameters(self) -> dict[str, str]:
        """The query of the next request; markers are sent as plain text."""
        listing, is_versions = self._listing, self._listing.operation == "ListObjectVersions"
        asked = {"encoding-type": "url", "max-keys": str(listing.keys_per_page), "prefix": listing.prefix}
        if is_versions:
            asked |= {"versions": "", "key-marker": self._next_key, "version-id-marker": self._next_version}
        elif self._next_token:
            asked |= {"list-type": "2", "continuation-token": self._next_token}
        else:
            asked |= {"list-type": "2", "start-after": self._next_key}
        return {name: value for name, value in asked.items() if value or name == "versions"}

    def take(self, page: Page) -> Sequence[ListedVersion]:
        """What of a page is new and in the range.

        Raises:
            ListingError: the page does not go forward.
        """
        entries = self._new_entries(page.entries)
        end = len(entries)
        if self._keys.upto is not None:
            end = bisect_right(entries, self._keys.upto, key=_key)
        if end < len(entries) or not page.is_truncated:
            self.is_ended = True
            return entries[:end]
        self._move_on(page, entries)
        return entries

    def _new_entries(self, entries: Sequence[ListedVersion]) -> Sequence[ListedVersion]:
        entries = in_order(entries)
        keys = [entry.key for entry in entries]
        if not entries or keys[0] > self._last_key:
            return entries
        if keys[0] < self._last_key:
            raise _not_forward(f"after the key {self._last_key!r} came {keys[0]!r}")
        told_again = bisect_right(keys, self._last_key)
        is_start = self._last_key == self._keys.after
        kept = [entry for entry in entries[:told_again] if not is_start and entry.version_id not in self._last_versions]
        return [*kept, *entries[told_again:]]

    def _move_on(self, page: Page, entries: Sequence[ListedVersion]) -> None:
        """Note where the next request begins."""
        self._empty_pages = 0 if entries else self._empty_pages + 1
        if self._empty_pages > EMPTY_PAGES_AT_MOST:
            raise _not_forward(f"{EMPTY_PAGES_AT_MOST} pages in a row had no new entry")
        if entries:
            self._last_key = entries[-1].key
            same_key = entries[bisect_left(entries, self._last_key, key=_key) :]
            self._last_versions = frozenset(entry.version_id for entry in same_key)
        if self._listing.operation == "ListObjectVersions":
            self._move_markers(page, entries)
        else:
            self._move_token(page, entries)

    def _move_markers(self, page: Page, entries: Sequence[ListedVersion]) -> None:
        key, version = page.next_key, page.next_version
        if not key and entries:
            key, version = entries[-1].key, entries[-1].version_id or "null"
        if key > self._next_key:
            self._markers_of_key.clear()
        elif key < self._next_key or not version or version in self._markers_of_key:
            raise _not_forward(f"after the marker {self._next_key!r}, {self._next_version!r} came {key!r}, {version!r}")
        self._markers_of_key.add(version)
        self._next_key, self._next_version = key, version
        self.is_ended = self._keys.upto is not None and key > self._keys.upto

    def _move_token(self, page: Page, entries: Sequence[ListedVersion]) -> None:
        if page.next_token == self._next_token and not (entries and not page.next_token):
            raise _not_forward(f"the continuation token {page.next_token!r} came twice")
        self._next_token, self._next_key = page.next_token, self._last_key
        self.is_ended = self._last_key == self._keys.upto


def in_order(entries: Sequence[ListedVersion]) -> Sequence[ListedVersion]:
    """The entries of a page as S3 orders them: keys by their bytes, of each key the latest version first.

    LocalStack 4.13.1 lists delete markers first, then versions, each in order. Where such a page belongs together, time
    orders what is not the latest of its key.

    Raises:
        ListingError: the page has no order.
    """
    is_latest_first = not any(
        later.is_latest and later.key == earlier.key for earlier, later in itertools.pairwise(entries)
    )
    if is_latest_first and _has_order(entries):
        return entries
    if not all(_has_order([entry for entry in entries if entry.is_marker is kind]) for kind in (True, False)):
        raise _not_forward("the keys of a page are not in the order of their bytes")
    return sorted(entries, key=lambda entry: (entry.key, not entry.is_latest, -entry.last_modified))


def _has_order(entries: Sequence[ListedVersion]) -> bool:
    keys = [entry.key for entry in entries]
    return keys == sorted(keys)  # the order of code points is that of UTF-8's bytes


def _may_have_keys(keys: KeyRange, prefix: str) -> bool:
    """Whether the range and the keys with the prefix overlap."""
    is_behind = keys.after > prefix and not keys.after.startswith(prefix)
    is_before = keys.upto is not None and (keys.upto < prefix or keys.upto <= keys.after)
    return not is_behind and not is_before


def _key(entry: ListedVersion) -> str:
    return entry.key


def _not_forward(what: str) -> ListingError:
    remedy = "this server does not list as S3 does, so nothing is concluded from it"
    return ListingError("ListingNotForward", f"the listing does not go forward: {what}; {remedy}", is_permanent=True)
