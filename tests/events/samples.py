"""Bodies and events for the tests of this folder, in the shapes AWS gives them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import settings

from subscriber.events.decode import decode
from subscriber.model import Delivery, Lease, Message, ObjectEvent
from testkit.workload.bucket import Emission

PROPERTY = settings(deadline=None, max_examples=100)
"""How properties run here: no deadline, since a shared machine may be slow."""

EVENT_TIME = datetime(2026, 8, 2, 7, 51, 20, 63_000, tzinfo=UTC)
SECOND = int(EVENT_TIME.timestamp())
SEQUENCER = f"00{SECOND:08X}A0B1C2D3"
CANONICAL = f"{SECOND:08X}A0B1C2D3"
ETAG = "b1946ac92492d2347c6235b4d2611184"
VERSION_ID = "096fKKXTRTtl3on89fVO.nfljtsv6qko"

EXPECTED = ObjectEvent(
    bucket="lake",
    key="sales/part 1.parquet",
    version_id=VERSION_ID,
    state="present",
    sequencer=CANONICAL,
    event_name="ObjectCreated:Put",
    event_time=EVENT_TIME,
    size_bytes=1024,
    etag=ETAG,
)
"""What `record()` means."""

ABSENT: Any = object()
"""The value of a field that the record must not have."""


def record(*, event_name: Any = "ObjectCreated:Put", bucket: Any = "lake", **changes: Any) -> dict[str, Any]:
    """A native record; `changes` with the name of a field of `s3.object` go there, others to the top level."""
    described = {
        "key": "sales/part+1.parquet",
        "size": 1024,
        "eTag": ETAG,
        "versionId": VERSION_ID,
        "sequencer": SEQUENCER,
    }
    top: dict[str, Any] = {
        "eventVersion": "2.6",
        "eventSource": "aws:s3",
        "awsRegion": "eu-central-1",
        "eventTime": "2026-08-02T07:51:20.063Z",
        "eventName": event_name,
        "userIdentity": {"principalId": "AWS:AROA4EXAMPLE7INGEST2Q:upload"},
    }
    described |= {name: value for name, value in changes.items() if name in described}
    top |= {name: value for name, value in changes.items() if name not in described}
    top["s3"] = {
        "s3SchemaVersion": "1.0",
        "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
        "object": {name: value for name, value in described.items() if value is not ABSENT},
    }
    return {name: value for name, value in top.items() if value is not ABSENT}


def body(*records: Any) -> str:
    """A native body."""
    return json.dumps({"Records": list(records)})


def decoded(text: str) -> Delivery:
    """What a message with this body means."""
    lease = Lease(queue="queue", expires_at=0.0, handles=set())
    return decode(Message("queue", "id", "handle", text, 0.0, 1, lease))


def event_of(text: str) -> ObjectEvent:
    """The only event of a body that must have no other content."""
    delivery = decoded(text)
    assert delivery.rejection is None
    assert delivery.ignored == ()
    (event,) = delivery.events
    return event


def reason_of(text: str) -> str:
    """The reason of the rejection of a body that must give no event."""
    delivery = decoded(text)
    assert delivery.events == ()
    assert delivery.rejection is not None
    assert delivery.rejection.detail
    return delivery.rejection.reason


def emission(event_name: str, **changes: Any) -> Emission:
    """An event named `event_name`, with the fields AWS sends for it."""
    fields: dict[str, Any] = {
        "bucket": "lake",
        "key": "sales/part 1.parquet",
        "version_id": VERSION_ID,
        "event_name": event_name,
        "event_time": EVENT_TIME,
        "sequencer": SEQUENCER,
        "size_bytes": 1024,
        "etag": ETAG,
    }
    if event_name.endswith("DeleteMarkerCreated"):
        fields |= {"size_bytes": None, "etag": "d41d8cd98f00b204e9800998ecf8427e"}
    elif not event_name.startswith("ObjectCreated"):
        fields |= {"size_bytes": None, "etag": None}
    return Emission(**(fields | changes))
