"""What S3 does when a bucket is listed: keys, versions, places and folds.

`expected` is what S3 answers, by its API reference (ListObjectVersions, ListObjectsV2) and, where that is silent, by
answers of S3 that users published. A value is made of texts and numbers that no run changes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from testkit.s3.keys import HOSTILE_KEYS
from testkit.s3.raw_client import ListedPage, RawS3
from tests.contracts.listing_contract import OBJECTS, VERSIONS, attempt, contract, keys_of, put, set_versioning

_MOST_PAGES: Final = 40
_EVERY_SECOND: Final = HOSTILE_KEYS[::2]
"""Half of the hostile keys: some servers take long for each."""


# ---------------------------------------------------------------- hostile keys


@contract({"refused": [], "listed": "all, in order"})
def hostile_keys_on_one_page(s3: RawS3, bucket: str) -> dict[str, Any]:
    """Every key that S3 accepts can be put, and is listed by the bytes of its UTF-8."""
    refused = _put_where_possible(s3, bucket, HOSTILE_KEYS)
    kept = [key for key in HOSTILE_KEYS if key not in refused]
    return {"refused": refused, "listed": attempt(lambda: _compared(keys_of(s3.page(bucket, OBJECTS)), kept))}


@contract("each once, in order", is_versioned=True)
def hostile_versions_in_small_pages(s3: RawS3, bucket: str) -> str:
    """A chain of pages of versions names each once, whatever the keys, and ends."""
    refused = _put_where_possible(s3, bucket, _EVERY_SECOND)
    kept = [key for key in _EVERY_SECOND if key not in refused]
    put(s3, bucket, *kept[::3])
    return _told(_chain(s3, bucket, {**VERSIONS, "max-keys": "7"}), len(kept) + len(kept[::3]))


@contract("each once, in order")
def hostile_objects_in_small_pages(s3: RawS3, bucket: str) -> str:
    """A chain of pages of objects names each once, whatever the keys, and ends."""
    refused = _put_where_possible(s3, bucket, _EVERY_SECOND)
    return _told(_chain(s3, bucket, {**OBJECTS, "max-keys": "7"}), len(_EVERY_SECOND) - len(refused))


def _put_where_possible(s3: RawS3, bucket: str, keys: Sequence[str]) -> list[str]:
    """Put an object under each key; returns the keys that the server refuses."""
    return [key for key in keys if s3.send("PUT", f"{bucket}/{key}", body=b"1").status != 200]


def _compared(keys: list[str], wanted: list[str]) -> str:
    if set(keys) != set(wanted):
        return f"{len(set(wanted) - set(keys))} missing, {len(set(keys) - set(wanted))} others"
    return "all, in order" if keys == sorted(wanted) else "all, out of order"


@contract(["a+b%2Bc%25%7E*%C3%A9/%3D", "+%22%26"])
def keys_are_encoded_as_in_a_form(s3: RawS3, bucket: str) -> list[str]:
    """With encoding-type=url a space is `+`, and letters, digits, `-_.*` and `/` stay."""
    put(s3, bucket, "a b+c%~*é/=", ' "&')
    body = s3.call("GET", bucket, OBJECTS).body.decode()
    return sorted(re.findall("<Key>(.*?)</Key>", body), reverse=True)


@contract(["<b>&amp;", "a b+c"])
def keys_are_escaped_without_encoding(s3: RawS3, bucket: str) -> list[str]:
    """Without encoding-type keys are plain text of XML."""
    put(s3, bucket, "<b>&amp;", "a b+c")
    return keys_of(s3.page(bucket, {"list-type": "2"}))


# ---------------------------------------------------------------- versions


@contract(["a v2 latest", "a v1", "a v0", "b marker latest", "b v0"], is_versioned=True)
def versions_come_newest_first(s3: RawS3, bucket: str) -> list[str]:
    """Keys in order, the newest version of each first; a delete marker stands among them."""
    ids = {"a": put(s3, bucket, "a", "a", "a"), "b": put(s3, bucket, "b")}
    s3.call("DELETE", f"{bucket}/b")
    return _described(s3.page(bucket, VERSIONS), ids)


@contract(["b v1 latest", "b v0"], is_versioned=True)
def a_key_marker_alone_skips_all_versions(s3: RawS3, bucket: str) -> list[str]:
    """With key-marker alone the page begins after the last version of that key."""
    put(s3, bucket, "a", "a")
    ids = {"b": put(s3, bucket, "b", "b")}
    return _described(s3.page(bucket, {**VERSIONS, "key-marker": "a"}), ids)


@contract(["a v0", "b v0 latest"], is_versioned=True)
def both_markers_continue_in_a_key(s3: RawS3, bucket: str) -> list[str]:
    """With version-id-marker too the page begins with the next older version of the key."""
    ids = {"a": put(s3, bucket, "a", "a", "a"), "b": put(s3, bucket, "b")}
    markers = {"key-marker": "a", "version-id-marker": ids["a"][1]}
    return _described(s3.page(bucket, {**VERSIONS, **markers}), ids)


@contract(["a v0"], is_versioned=True)
def a_removed_marker_keeps_its_place(s3: RawS3, bucket: str) -> list[str]:
    """A version that was removed between two pages still marks where the next one begins."""
    ids = {"a": put(s3, bucket, "a", "a", "a")}
    s3.call("DELETE", f"{bucket}/a", {"versionId": ids["a"][1]})
    markers = {"key-marker": "a", "version-id-marker": ids["a"][1]}
    return _described(s3.page(bucket, {**VERSIONS, **markers}), ids)


@contract("each once, in order", is_versioned=True)
def a_key_with_more_versions_than_a_page_advances(s3: RawS3, bucket: str) -> str:
    """The chain goes through the versions of one key."""
    put(s3, bucket, "a", *["b"] * 8, "c")
    return _told(_chain(s3, bucket, {**VERSIONS, "max-keys": "3"}), 10)


@contract("each once, in order")
def pages_of_an_unversioned_bucket_name_each_once(s3: RawS3, bucket: str) -> str:
    """Where every version is `null` the chain goes on after the marker."""
    put(s3, bucket, *[f"k{number}" for number in range(8)])
    return _told(_chain(s3, bucket, {**VERSIONS, "max-keys": "3"}), 8)


@contract(["a null latest"])
def an_unversioned_object_has_the_version_null(s3: RawS3, bucket: str) -> list[str]:
    """Without versioning each object is one version with the id `null`."""
    put(s3, bucket, "a", "a")
    return _described(s3.page(bucket, VERSIONS), {})


@contract(["a null latest", "a v0"])
def a_suspended_bucket_replaces_the_null_version(s3: RawS3, bucket: str) -> list[str]:
    """The null version from before is replaced, and the new one is the newest."""
    put(s3, bucket, "a")
    set_versioning(s3, bucket, "Enabled")
    ids = {"a": put(s3, bucket, "a")}
    set_versioning(s3, bucket, "Suspended")
    put(s3, bucket, "a")
    return _described(s3.page(bucket, VERSIONS), ids)


@contract(["a v0 latest"], is_versioned=True)
def an_undelete_makes_the_older_version_latest(s3: RawS3, bucket: str) -> list[str]:
    """When the delete marker is removed for good, the version under it is current again."""
    ids = {"a": put(s3, bucket, "a")}
    marker = s3.call("DELETE", f"{bucket}/a").headers["x-amz-version-id"]
    s3.call("DELETE", f"{bucket}/a", {"versionId": marker})
    return _described(s3.page(bucket, VERSIONS), ids)


@contract(["b"], is_versioned=True)
def a_deleted_object_is_not_among_the_objects(s3: RawS3, bucket: str) -> list[str]:
    """ListObjectsV2 shows no key whose newest version is a delete marker."""
    put(s3, bucket, "a", "b")
    s3.call("DELETE", f"{bucket}/a")
    return keys_of(s3.page(bucket, OBJECTS))


def _described(page: ListedPage, ids: dict[str, list[str]]) -> list[str]:
    texts = []
    for entry in page.entries:
        known = ids.get(entry.key, [])
        kind = f"v{known.index(entry.version_id)}" if entry.version_id in known else "null"
        kind = "marker" if entry.is_marker else kind
        texts.append(f"{entry.key} {kind}{' latest' if entry.is_latest else ''}")
    return texts


# ---------------------------------------------------------------- places and folds


@contract([["b", "c"], ["c"], []])
def start_after_need_not_exist(s3: RawS3, bucket: str) -> list[list[str]]:
    """The first key is the next greater one."""
    put(s3, bucket, "a", "b", "c")
    return [keys_of(s3.page(bucket, {**OBJECTS, "start-after": after})) for after in ("a", "bb", "c")]


@contract([["p/a", "p/b"], ["p/b"], []])
def prefix_and_key_marker_go_together(s3: RawS3, bucket: str) -> list[list[str]]:
    """A marker before the prefix changes nothing, one within it does, one after it leaves nothing."""
    put(s3, bucket, "o", "p/a", "p/b", "q")
    return [keys_of(s3.page(bucket, {**VERSIONS, "prefix": "p/", "key-marker": each})) for each in ("a", "p/a", "q")]


@contract([["x", "z"], ["a/", "b/"]])
def a_delimiter_folds_objects(s3: RawS3, bucket: str) -> list[list[str]]:
    """Keys with the delimiter after the prefix are common prefixes."""
    put(s3, bucket, "a/1", "a/2", "b/1", "x", "z")
    page = s3.page(bucket, {**OBJECTS, "delimiter": "/"})
    return [keys_of(page), list(page.common_prefixes)]


@contract([["x"], ["a/", "b/"]], is_versioned=True)
def a_delimiter_folds_versions_in_pages(s3: RawS3, bucket: str) -> list[list[str]]:
    """A chain of one entry a page names each common prefix once."""
    put(s3, bucket, "a/1", "a/1", "a/2", "b/1", "x")
    pages = _chain(s3, bucket, {**VERSIONS, "delimiter": "/", "max-keys": "1"})
    if pages[-1].next_parameters:
        return [["no end"], []]
    return [[key for page in pages for key in keys_of(page)], [text for page in pages for text in page.common_prefixes]]


@contract(["0 false", "1000", "2 true", "3 false"])
def max_keys_is_kept(s3: RawS3, bucket: str) -> list[str]:
    """Zero is an empty page and not truncated, more than 1,000 is 1,000, and an exact fit is the last page."""
    put(s3, bucket, "a", "b", "c")
    pages = {size: s3.page(bucket, {**OBJECTS, "max-keys": str(size)}) for size in (0, 5_000, 2, 3)}
    shown = {size: f"{len(page.entries)} {page.elements['IsTruncated']}" for size, page in pages.items()}
    return [shown[0], pages[5_000].elements["MaxKeys"], shown[2], shown[3]]


def _chain(s3: RawS3, bucket: str, query: dict[str, str]) -> list[ListedPage]:
    return list(s3.pages(bucket, query, _MOST_PAGES))


def _told(pages: list[ListedPage], wanted: int) -> str:
    """What a chain of pages told about so many distinct entries."""
    seen = [(entry.key, entry.version_id) for page in pages for entry in page.entries]
    if pages[-1].next_parameters:
        return "no end"
    # Without numbers: where a chain breaks may depend on version ids, which differ from run to run.
    wrong = ["some repeated"] * (len(set(seen)) < len(seen)) + ["some missing"] * (len(set(seen)) < wanted)
    if wrong:
        return ", ".join(wrong)
    order = [key for key, _ in seen]
    return "each once, in order" if order == sorted(order) else "each once, out of order"
