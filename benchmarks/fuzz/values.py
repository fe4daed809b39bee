"""Values that are known to break parsers of JSON or of S3 events; ordinary values come first."""

from __future__ import annotations

from random import Random
from typing import Any, Final

TIMES: Final = (
    "2026-08-02T07:51:20.063Z",
    "2026-08-02T07:51:21Z",
    "2026-08-03T00:00:00.000Z",
    "1970-01-01T00:00:00.000Z",
    "2105-12-31T23:59:59.999Z",
    "2026-08-02T09:51:20+02:00",
    "2026-08-02 07:51:20",
    "2026-02-29T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "2106-01-01T00:00:00Z",
    "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+14:00",
    "2026-08-02",
    "20260802T075120Z",
    "2026-W31-7T07:51:20Z",
    "now",
)

SENDERS: Final = (
    *("aws:s3",) * 14,
    "ceph:s3",
    "minio:s3",
    "noobaa:s3",
    "rustfs:s3",
    "scality:s3",
    "sgws:s3",
    "s3.amazonaws.com",
)

NAMES: Final = (
    "ObjectCreated:Put",
    "ObjectCreated:Put",
    "ObjectCreated:Copy",
    "ObjectCreated:CompleteMultipartUpload",
    "ObjectRemoved:Delete",
    "ObjectRemoved:DeleteMarkerCreated",
    "LifecycleExpiration:Delete",
    "LifecycleExpiration:DeleteMarkerCreated",
    "s3:ObjectCreated:Post",
    "ObjectTagging:Put",
    "ObjectRestore:Delete",
    "ObjectCreated:Rename",
    "ObjectCreated:",
    "ObjectRemoved:Shredded",
    "ObjectRemoved",
    "objectcreated:put",
    "ObjectTagging:Move",
    "Replication:Create",
    "s3:ObjectAccessed:Get",
    "s3:TestEvent",
)

KEYS: Final = (
    "a/b/c.parquet",
    "part+1.parquet",
    "caf%C3%A9/%E6%97%A5.jpg",
    "%2F%2Fx%25",
    "%c3%a9",
    "%zz%",
    "%FF",
    "%00",
    "%ED%A0%80",
    "a\x1fb",
    "\U0001f701/é",
    "'); DROP TABLE object_versions; --",
    "../../etc/passwd",
    "k" * 1024,
    "k" * 1025,
    "%41" * 1025,
    "",
)

SEQUENCERS: Final = (
    "006A6EF6F8A0B1C2D3",
    "6A6EF6F8A0B1C2D3",
    "806A6EF6F8A0B1C2D3",
    "006a6ef6f8a0b1c2d3",
    "6A6EF6F8",
    "6A6EF6F",
    "0000",
    "",
    None,
    "7",
    "F" * 64,
    "F" * 65,
    "xyz",
)

NUMBERS: Final = (
    0,
    1,
    1024,
    5_000_000_000_000,
    None,
    2**63 - 1,
    2**63,
    2**64,
    2**70,
    -1,
    -(2**63) - 1,
    1.5,
    1e300,
    10**400,
)

TEXTS: Final = (
    "",
    "null",
    "\0",
    "a\0b",
    "\ud800",
    "\udc00x",
    "\x1f",
    "\\u0000",
    "s3:TestEvent",
    "Notification",
    "aws.s3",
    "2.1",
    "3.0",
    "2",
    *("v" * 1025, "w" * 1025, "x" * 1025),
    "b" * 256,
    "é" * 128,
    "0",
    *(text for text in (*TIMES, *NAMES, *KEYS, *SEQUENCERS) if text),
)

_OTHERS: Final[tuple[Any, ...]] = (True, False, [], {}, [[]], {"name": "lake"}, {"key": "x"}, ["a", 1])


def interesting(random: Random) -> Any:
    """A random value of any type; containers are copies."""
    value = random.choice(random.choice((NUMBERS, TEXTS, _OTHERS)))
    return value.copy() if isinstance(value, dict | list) else value
