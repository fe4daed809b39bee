"""Records with unusual, hostile or invalid fields."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

from subscriber.events import rejection
from tests.corpus.case import Case, meant, rejected, stored, with_literal, without
from tests.events.samples import CANONICAL, SECOND

_SECOND_HEX = f"{SECOND:08X}"
_JPEG = "café/日本/🜁.jpg"

_KEYS = {
    "SQL": "'); DROP TABLE object_versions; --",
    "SQL comment": '/* */ -- $1 :"schema" %s %(key)s {key}',
    "path upwards": "../../../../etc/passwd",
    "path to a device": "//server/share/NUL",
    "backslashes": "C:\\Windows\\..\\x",
    "line breaks": "a\nb\r\nc\td",
    "control characters": "\x01\x1b[2J\x7f",
    "unit separator": "a\x1fb\x1e\x1c",
    "HTML": "<script>alert('x')</script>",
    "template": "{{7*7}}${jndi:ldap://x/y}",
    "quotes": "\"'`“”",
    "spaces alone": "   ",
    "a slash": "/",
    "dots": "..",
    "not normalized": "e\u0301 is not \u00e9",
    "right to left": "\u202egpj.exe",
    "no characters": "\ufffe\uffff\U0010ffff",
    "replacement character": "\ufffd",
    "the word null": "null",
    "an array": '{NULL,"a",b}',
    "COPY's end": "\\.",
    "percent": "100%",
    "percent and digits": "%2F%00",
    "plus": "a+b c",
    "1,024 bytes": "k" * 1024,
    "1,024 bytes of four each": "🜁" * 256,
}


def fields() -> Iterator[Case]:
    """All cases about fields."""
    yield from _keys()
    yield from _buckets()
    yield from _sizes()
    yield from _times()
    yield from _sequencers()
    yield from _texts()
    yield from _names()


def _keys() -> Iterator[Case]:
    for name, key in _KEYS.items():
        yield stored(f"key: {name}", {"key": key}, key=quote_plus(key))
    yield stored("key unencoded", {"key": _JPEG}, key=_JPEG)
    yield stored("key with lower-case escapes", {"key": "ä"}, key="%c3%a4")
    yield stored("key with escapes that are none", {"key": "%zz%4%"}, key="%zz%4%")
    yield stored("key encoded twice", {"key": "%41"}, key="%2541")
    for name, key in {
        "empty": "",
        "1,025 bytes": "k" * 1025,
        "1,025 bytes in 257 characters": "🜁" * 256 + "k",
        "a megabyte of escapes": "%41" * 340_000,
        "NUL": "a%00b",
        "bytes that are no UTF-8": "%FF%FE",
        "half a character": "%C3",
        "an overlong slash": "%C0%AF",
        "an escaped surrogate": "%ED%A0%80",
        "beyond Unicode": "%F5%80%80%80",
    }.items():
        yield rejected(f"key rejected: {name}", rejection.BAD_KEY, key=key)
    yield Case("key missing", without("x", "key"), reason=rejection.MALFORMED_RECORD)
    others: list[Any] = [None, 5, [], {"a": 1}, True]
    for value in others:
        yield rejected(f"key of another type: {value}", rejection.MALFORMED_RECORD, key=value)


def _buckets() -> Iterator[Case]:
    for bucket in ("it's", 'a "bucket"', "lake; DROP TABLE x", "LAKE", "bücket", "b" * 255, "$1", "../x"):
        yield stored(f"bucket: {bucket}", bucket=bucket)
    for name, bucket in {"empty": "", "256 bytes": "b" * 256, "a megabyte": "b" * 1_000_000, "NUL": "a\0b"}.items():
        yield rejected(f"bucket rejected: {name}", rejection.BAD_BUCKET, bucket=bucket)
    yield rejected("bucket of another type", rejection.MALFORMED_RECORD, bucket=["lake"])


def _sizes() -> Iterator[Case]:
    for literal, size in {"0": 0, "-0": 0, "9223372036854775807": 2**63 - 1, "null": None}.items():
        name = f"size {literal}"
        yield Case(name, with_literal(name, "size", literal), (meant(name, size_bytes=size),))
    yield Case("size missing", without("size missing", "size"), (meant("size missing", size_bytes=None),))
    for literal in ("-1", "9223372036854775808", "18446744073709551616", "-9223372036854775809"):
        yield Case(f"size {literal}", with_literal("x", "size", literal), reason=rejection.BAD_SIZE)
    for literal in ("1.5", "1.0", "1e3", '"1"', "true", "[]", "{}"):
        yield Case(f"size {literal}", with_literal("x", "size", literal), reason=rejection.MALFORMED_RECORD)


def _times() -> Iterator[Case]:
    zone = timedelta(hours=2)
    for text, moment in {
        "1970-01-01T00:00:00.000Z": datetime(1970, 1, 1, tzinfo=UTC),
        "2105-12-31T23:59:59.999999Z": datetime(2105, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    }.items():
        second = f"{int(moment.timestamp()):08X}"
        means = {"event_time": moment, "sequencer": f"{second}{CANONICAL}".rstrip("0")}
        yield stored(f"time {text}", means, eventTime=text)
    near = datetime(2026, 8, 2, 7, 51, 20, tzinfo=UTC)
    for text, moment in {
        "2026-08-02T07:51:20": near,
        "2026-08-02 07:51:20Z": near,
        "2026-08-02T09:51:20+02:00": near,
        "20260802T075120Z": near,
        "2026-08-02T07:51:20-02:00": near + zone,
    }.items():
        yield stored(f"time {text}", {"event_time": moment}, eventTime=text)
    for text in (
        "",
        "2026-08-02",
        "1969-12-31T23:59:59Z",
        "2106-01-01T00:00:00Z",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+14:00",
        "2026-02-30T00:00:00Z",
        "2026-08-02T25:00:00Z",
        "2026-08-02T07:51:60Z",
        "-2026-08-02T07:51:20Z",
        "٢٠٢٦-08-02T07:51:20Z",
        "Sun, 02 Aug 2026 07:51:20 GMT",
        "1785657080",
        "now",
        "2026-08-02T07:51:20Z" * 10_000,
    ):
        yield rejected(f"time rejected: {text[:40]}", rejection.BAD_TIME, eventTime=text)
    yield rejected("time of another type", rejection.MALFORMED_RECORD, eventTime=1785657080)
    yield Case("time missing", without("x", "eventTime"), reason=rejection.MALFORMED_RECORD)


def _sequencers() -> Iterator[Case]:
    derived = _SECOND_HEX.rstrip("0")
    for name, sequencer, canonical in (
        ("mixed case", f"00{_SECOND_HEX}a0B1c2D3", CANONICAL),
        ("without its zeros", CANONICAL, CANONICAL),
        ("of odd length", f"{_SECOND_HEX}A", f"{_SECOND_HEX}A"),
        ("with zeros behind", f"{_SECOND_HEX}A0B00000", f"{_SECOND_HEX}A0B"),
        ("of one digit", "7", f"{_SECOND_HEX}7"),
        ("all zeros", "0" * 18, derived),
        ("64 digits", "F" * 64, f"{_SECOND_HEX}{'F' * 64}"),
        ("65 digits", "F" * 65, derived),
        ("a megabyte", "A" * 900_000, derived),
        ("empty", "", derived),
        ("none", None, derived),
        ("no number", "not-hex", derived),
        ("a sign", "-1", derived),
        ("a prefix", "0x1F", derived),
        ("non-ASCII digits", "\uff11\uff12\uff13", derived),
        ("NUL", "12\x0034", derived),
    ):
        yield stored(f"sequencer {name}", {"sequencer": canonical}, sequencer=sequencer)
    yield rejected("sequencer of another type", rejection.MALFORMED_RECORD, sequencer=5)


def _texts() -> Iterator[Case]:
    yield stored("eTag in quotes", {"etag": "abc-2"}, eTag='"abc-2"')
    yield stored("eTag empty", {"etag": None}, eTag="")
    yield stored("eTag of quotes alone", {"etag": None}, eTag='""')
    yield stored("eTag of 255 bytes", {"etag": "e" * 255}, eTag="e" * 255)
    yield rejected("eTag of 256 bytes", rejection.BAD_ETAG, eTag="e" * 256)
    yield rejected("eTag with NUL", rejection.BAD_ETAG, eTag="a\0")
    yield rejected("eTag of another type", rejection.MALFORMED_RECORD, eTag=7)
    yield stored("versionId null as a word", {"version_id": ""}, versionId="null")
    yield stored("versionId null", {"version_id": ""}, versionId=None)
    yield stored("versionId with SQL", {"version_id": "' OR 1=1"}, versionId="' OR 1=1")
    yield stored("versionId of 1,024 bytes", {"version_id": "v" * 1024}, versionId="v" * 1024)
    yield rejected("versionId of 1,025 bytes", rejection.BAD_VERSION_ID, versionId="v" * 1025)
    yield rejected("versionId with NUL", rejection.BAD_VERSION_ID, versionId="\0")
    for version in ("1.0", "3.0", "", "two", "2", "2.99"):
        name = f"eventVersion {version}"
        if version.startswith("2"):
            yield stored(name, eventVersion=version)
        else:
            yield rejected(name, rejection.UNSUPPORTED_VERSION, eventVersion=version)


def _names() -> Iterator[Case]:
    def named(event_name: Any) -> dict[str, Any]:
        return {"event_name": event_name}

    yield stored("a name with s3:", named("ObjectCreated:Put"), event_name="s3:ObjectCreated:Put")
    yield stored("a creation to come", named("ObjectCreated:Rename"), event_name="ObjectCreated:Rename")
    for name, event_name in {
        "a removal to come": "ObjectRemoved:Shredded",
        "a creation too long": f"ObjectCreated:{'x' * 60}",
        "a creation with NUL": "ObjectCreated:\0",
        "a creation with a line break": "ObjectCreated:Put\n",
        "a creation in Greek": "ObjectCreated:Πυτ",
    }.items():
        yield rejected(name, rejection.UNKNOWN_EVENT, event_name=event_name)
    for event_name in ("", "objectcreated:put", "Replication:Create", "x" * 500_000):
        yield rejected(f"unknown name {event_name[:20]!r}", rejection.UNKNOWN_EVENT, event_name=event_name)
    for event_name, label in {
        "ObjectRestore:Post": "ObjectRestore:Post",
        "s3:ObjectAccessed:Get": "ObjectAccessed:*",
        f"ObjectTagging:{'x' * 500_000}": "ObjectTagging:*",
    }.items():
        text = without("x").replace('"ObjectCreated:Put"', f'"{event_name}"')
        yield Case(f"ignored name {event_name[:20]!r}", text, ignored=(label,))
    yield rejected("a name of another type", rejection.MALFORMED_RECORD, event_name={"a": "b"})
