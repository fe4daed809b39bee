"""Lists of keys from elsewhere: recognized only where nothing else is possible, and decoded as their format says."""

from __future__ import annotations

import json

import pytest

from subscriber.errors import ListingError
from subscriber.model import ListedVersion
from subscriber.reconcile.inventory.key_list import FORMATS, SourceFormat, recognized
from subscriber.reconcile.inventory.source import Location, open_source
from testkit.s3.inventory import HOSTILE_KEYS
from tests.reconcile.inventory.reading import BUCKET, StoredObjects, list_rows


def candidate(key: str, version_id: str = "", *, is_latest: bool = True, size: int | None = None) -> ListedVersion:
    """A row without anything else."""
    return ListedVersion(key, version_id, False, is_latest, 0, size, None)


@pytest.mark.parametrize("compress", [False, True])
async def test_a_batch_operations_manifest(*, compress: bool) -> None:
    """Keys of S3 Batch Operations are URL-encoded, with or without a version in every row."""
    assert await list_rows(b"lake,a+b%2Bc\r\nlake,000123\r\n", compress=compress) == [
        candidate("a b+c"),
        candidate("000123"),
    ]
    # Which of its versions is the latest the list does not tell; every row is taken as the object it names.
    rows = await list_rows(b'lake,"a%2Cb",v1\nlake,k,\n', compress=compress)
    assert [(row.key, row.version_id) for row in rows] == [("a,b", "v1"), ("k", "")]


async def test_rows_of_a_batch_operations_manifest_have_one_length() -> None:
    """S3 wants version ids for all rows or for none, and so do we; every row names the same bucket."""
    with pytest.raises(ListingError, match="row 2 of 'list': it has 3 columns instead of 2"):
        await list_rows(b"lake,a\nlake,b,v\n")
    with pytest.raises(ListingError, match="its bucket is 'sea' instead of 'lake'"):
        await list_rows(b"lake,a\nsea,b\n")
    with pytest.raises(ListingError, match="is not URL-encoded"):
        await list_rows(b"lake,100%\n")


async def test_a_csv_list_has_plain_keys() -> None:
    """Keys of a CSV list are taken as they are, below a header with columns in any order."""
    body = 'Size,Key,VersionId\r\n7,a+b%2Bc,v\n,"line\nbreak, ""quoted""",\n'
    assert await list_rows(body.encode()) == [
        candidate("a+b%2Bc", "v", size=7),
        candidate('line\nbreak, "quoted"'),
    ]
    assert await list_rows(b"\xef\xbb\xbfKey\nk") == [candidate("k")]
    with pytest.raises(ListingError, match="row 3 of 'list': 'x' is no whole number"):
        await list_rows(b"Key,Size\na,1\nb,x\n")


async def test_json_lines() -> None:
    """One object a line, with the names of S3's listings, escaped or not; other members are passed over."""
    lines = [
        {"Key": "a+b\u2028", "VersionId": "v", "IsLatest": True, "Size": 7, "ETag": '"e"', "Owner": {}},
        {"Key": "k", "LastModified": "2023-11-14T22:13:20.9Z", "StorageClass": "GLACIER"},
        {"Key": "m", "VersionId": "null", "IsDeleteMarker": True, "Size": 0, "ETag": "e"},
    ]
    body = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    assert await list_rows(body.encode()) == [
        ListedVersion("a+b\u2028", "v", False, True, 0, 7, "e"),
        ListedVersion("k", "", False, True, 1_700_000_000, None, None, "GLACIER"),
        ListedVersion("m", "", True, False, 0, None, None),
    ]


@pytest.mark.parametrize("line", ['{"Key": ""}', '{"Size": 7}', '{"Key": "k", "Size": "7"}', '{"Key": 123}', "[]", "k"])
async def test_a_line_of_another_kind_is_an_error(line: str) -> None:
    """A number is no key; the error names the line."""
    with pytest.raises(ListingError, match="row 3 of 'list'"):
        await list_rows(f'{{"Key": "a"}}\n\n{line}\n'.encode(), "json-lines")


async def test_hostile_keys_survive_each_list() -> None:
    """What a list can hold comes back as it was."""
    expected = [candidate(key) for key in HOSTILE_KEYS]
    jsonl = "".join(json.dumps({"Key": key}) + "\n" for key in HOSTILE_KEYS)
    quoted = "".join('"' + key.replace('"', '""') + '"\n' for key in HOSTILE_KEYS)
    assert await list_rows(jsonl.encode()) == expected
    assert await list_rows(f"Key\n{quoted}".encode()) == expected


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ('{"Key": "a"}\n', "json-lines"),
        ('\ufeff {"Key": "\\"fileSchema\\""}\n', "json-lines"),
        ('{\n  "sourceBucket": "lake",', "inventory"),
        ("lake,a\n", "batch-operations"),
        ('"lake","a","v"\n', "batch-operations"),
        ("Key\n", "keys-csv"),
        ("VersionId,key,Size\n", "keys-csv"),
    ],
)
def test_formats_are_recognized(head: str, expected: SourceFormat) -> None:
    """Each format begins as no other one can."""
    assert recognized(head, BUCKET) == expected


@pytest.mark.parametrize("head", ["", "a\n", "sea,a\n", "lake\n", "lake,a,v,x\n", "Key,Key\n", "Key,Colour\n"])
def test_anything_else_must_be_named(head: str) -> None:
    """A list that could be anything is not guessed: the sentence names the formats."""
    with pytest.raises(ListingError, match="name one of " + ", ".join(FORMATS)):
        recognized(head, BUCKET)


def test_two_formats_are_not_decided() -> None:
    """The first row of a bucket named `key` may be a header or not."""
    with pytest.raises(ListingError, match="cannot be told"):
        recognized("key,size\n", "key")


async def test_a_header_is_needed_even_if_the_format_is_named() -> None:
    """Without a header the first key would be lost."""
    with pytest.raises(ListingError, match="keys-csv begins with a header"):
        await list_rows(b"a\nb\n", "keys-csv")


async def test_an_empty_list_has_no_rows() -> None:
    """An empty file is a list of nothing once its format is named."""
    for source_format in FORMATS:
        if source_format != "inventory":
            assert await list_rows(b"", source_format) == []


async def test_a_list_has_no_time() -> None:
    """A list of keys tells no moment, so that its rows are candidates."""
    source = await open_source(StoredObjects({"list": b"lake,a\n"}), Location("lists", "list"), BUCKET)
    assert source.created_second is None
