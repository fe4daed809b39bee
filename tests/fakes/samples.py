"""Sample messages, deliveries, batches and receipts: a test names only what its claim is about."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import msgspec

from subscriber.errors import StoreError, Treatment
from subscriber.events.order import fold
from subscriber.model import Batch, Delivery, Lease, Message, ObjectEvent, Receipt, Rejection, Verdict
from tests.fakes.store import store_error

QUEUE = "https://queues.example/1/events"
OTHER_QUEUE = "https://queues.example/1/archive"
EVENT_TIME = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
ETAG = "9e107d9d372bb6826bd81d3542a419d6"
REJECTION = Rejection(reason="unreadable", detail="not JSON")

_numbers = itertools.count(1)


def lease(queue: str = QUEUE) -> Lease:
    """A lease outside of any VisibilityLeases."""
    return Lease(queue=queue, expires_at=1e9, handles=set())


def message(
    queue: str = QUEUE, *, body: str = "{}", sent_at: float = 0.0, receive_count: int = 1, under: Lease | None = None
) -> Message:
    """A unique message, received under a lease of its own unless one is given."""
    number = next(_numbers)
    return Message(
        queue=queue,
        message_id=f"message-{number}",
        receipt_handle=f"handle-{number}",
        body=body,
        sent_at=sent_at,
        receive_count=receive_count,
        lease=under or lease(queue),
    )


def object_event(key: str = "key", *, sequencer: str = "1", size_bytes: int = 10, version_id: str = "") -> ObjectEvent:
    """An object that was put; no store accepts a negative size."""
    return ObjectEvent(
        bucket="lake",
        key=key,
        version_id=version_id,
        state="present",
        sequencer=sequencer,
        event_name="ObjectCreated:Put",
        event_time=EVENT_TIME,
        size_bytes=size_bytes,
        etag=ETAG,
    )


def bad_event(key: str = "bad", *, sequencer: str = "1") -> ObjectEvent:
    """A row that every store rejects with a CHECK violation."""
    return object_event(key, sequencer=sequencer, size_bytes=-1)


def delivery(*events: ObjectEvent, rejection: Rejection | None = None, of: Message | None = None) -> Delivery:
    """A decoded message of its own."""
    return Delivery(message=of or message(), events=events, rejection=rejection)


def put(key: str) -> Delivery:
    """A message about one object that was put."""
    return delivery(object_event(key))


def batch(*deliveries: Delivery) -> Batch:
    """A full batch of these deliveries."""
    rows = fold(event for one in deliveries for event in one.events)
    return Batch(deliveries=deliveries, rows=rows, opened_at=0.0, trigger="full")


def receipt(verdict: Verdict = "stored", *, of: Message | None = None) -> Receipt:
    """A receipt for a message of its own, unless one is given."""
    return Receipt(message=of or message(), verdict=verdict)


def failing(treatment: Treatment) -> StoreError:
    """A store failure to script, whose word is its treatment."""
    return store_error(treatment, word=treatment.value)


def put_body(key: str, *, size_bytes: int = 10) -> str:
    """The notification for one object that was put, reduced to what decode reads."""
    described = {"key": key, "size": size_bytes, "eTag": ETAG, "sequencer": f"{int(EVENT_TIME.timestamp()):08X}AB"}
    record = {
        "eventSource": "aws:s3",
        "eventTime": EVENT_TIME.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "lake"}, "object": described},
    }
    return msgspec.json.encode({"Records": [record]}).decode()
