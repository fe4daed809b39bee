"""A bucket in memory and the pages that S3 would give of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from subscriber.adapters.s3.page import Page
from subscriber.model import KeyRange, ListedVersion

SECOND = 1_795_942_801


def version(key: str, version_id: str = "", *, is_latest: bool = True) -> ListedVersion:
    """A version of one byte."""
    return ListedVersion(key, version_id, False, is_latest, SECOND, 1, "e", "STANDARD")


def in_range(versions: Sequence[ListedVersion], keys: KeyRange, prefix: str = "") -> list[ListedVersion]:
    """What a listing of a range must give."""
    return [
        entry
        for entry in versions
        if entry.key > keys.after and (keys.upto is None or entry.key <= keys.upto) and entry.key.startswith(prefix)
    ]


def versions_page(versions: Sequence[ListedVersion], asked: Mapping[str, str]) -> Page:
    """The answer of ListObjectVersions; `versions` are in S3's order."""
    key, marker = asked.get("key-marker", ""), asked.get("version-id-marker", "").removeprefix("null")
    kept = [entry for entry in versions if entry.key > key and entry.key.startswith(asked.get("prefix", ""))]
    if "version-id-marker" in asked:
        same = [entry for entry in versions if entry.key == key]
        ids = [entry.version_id for entry in same]
        kept = same[ids.index(marker) + 1 :] + kept
    page = kept[: int(asked["max-keys"])]
    if len(page) == len(kept):
        return Page(page, False, "", "", "")
    return Page(page, True, page[-1].key, page[-1].version_id or "null", "")


def keys_page(versions: Sequence[ListedVersion], asked: Mapping[str, str]) -> Page:
    """The answer of ListObjectsV2; its token tells where the next page begins."""
    start = int(asked.get("continuation-token", "0"))
    after = asked.get("start-after", "") if not start else ""
    keys = [entry for entry in versions if entry.key.startswith(asked.get("prefix", ""))]
    begin = start or next((place for place, entry in enumerate(keys) if entry.key > after), len(keys))
    end = begin + int(asked["max-keys"])
    return Page(keys[begin:end], end < len(keys), "", "", str(end) if end < len(keys) else "")
