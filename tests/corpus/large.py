"""Bodies as large as SQS accepts, and larger: time and memory must stay proportional to their size."""

from __future__ import annotations

import json
from collections.abc import Iterator

from subscriber.events.rejection import MALFORMED_RECORD, NOT_JSON, TOO_MANY_RECORDS, UNKNOWN_ENVELOPE
from subscriber.model import ObjectEvent
from tests.corpus.case import MESSAGE_BYTES_AT_MOST, Case, meant
from tests.events.samples import CANONICAL, body, record

_MANY = 10_000
_AS_MANY_AS_FIT = 7_300


def large() -> Iterator[Case]:
    """All large cases."""
    whole = body(record(bucket="padded to a megabyte", padding=""))
    padded = whole.replace('"padding": ""', f'"padding": "{"p" * (MESSAGE_BYTES_AT_MOST - len(whole))}"')
    yield Case("padded to a megabyte", padded, (meant("padded to a megabyte"),))
    yield Case("a megabyte of letters", "a" * MESSAGE_BYTES_AT_MOST, reason=NOT_JSON)
    yield Case("a megabyte of text", f'"{"€" * 340_000}"', reason=UNKNOWN_ENVELOPE)
    yield Case("a megabyte of quotes", '"' * MESSAGE_BYTES_AT_MOST, reason=UNKNOWN_ENVELOPE)
    yield Case("a megabyte of names", json.dumps({str(n): n for n in range(60_000)}), reason=UNKNOWN_ENVELOPE)
    yield _many("10,000 records", _MANY)
    yield _many("a megabyte of records", _AS_MANY_AS_FIT)
    yield Case("10,000 records of nothing", _records("{}", _MANY), reason=MALFORMED_RECORD)
    yield Case("10,001 records of nothing", _records("{}", _MANY + 1), reason=TOO_MANY_RECORDS)
    yield Case("half a million numbers", _records("1", 520_000), reason=TOO_MANY_RECORDS)
    ignored = '{"eventName":"","eventTime":"","s3":{"bucket":{"name":""},"object":{"key":""}}}'
    yield Case("13,000 ignored records", _records(ignored, 13_000), reason=TOO_MANY_RECORDS)


def _records(each: str, count: int) -> str:
    return f'{{"Records":[{",".join([each] * count)}]}}'


def _many(name: str, count: int) -> Case:
    keys = [f"k{number}" for number in range(count)]
    records = [
        {
            "eventName": "ObjectCreated:Put",
            "eventTime": "20260802T075120.063",
            "s3": {"bucket": {"name": name}, "object": {"key": key}},
        }
        for key in keys
    ]
    return Case(name, json.dumps({"Records": records}, separators=(",", ":")), tuple(_bare(name, key) for key in keys))


def _bare(bucket: str, key: str) -> ObjectEvent:
    second = CANONICAL[:8].rstrip("0")
    return meant(bucket, key=key, version_id="", sequencer=second, size_bytes=None, etag=None)
