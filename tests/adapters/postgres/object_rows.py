"""Sample rows: a valid one, and random ones that often collide."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec

from subscriber.model import Lease, Message, ObjectEvent

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def row(**changes: Any) -> ObjectEvent:
    """A valid row with some fields changed."""
    plain = ObjectEvent(
        bucket="bucket",
        key="folder/object",
        version_id="",
        state="present",
        sequencer="69A42D4012345678",
        event_name="ObjectCreated:Put",
        event_time=NOON,
        size_bytes=3,
        etag="d41d8cd98f00b204e9800998ecf8427e",
    )
    return msgspec.structs.replace(plain, **changes)


def colliding_row(random: Random, key: str, version_id: str = "") -> ObjectEvent:
    """A row whose fields have very few values, so that ties reach the last field of the order."""
    return row(
        key=key,
        version_id=version_id,
        state=random.choice(["present", "delete_marker", "removed"]),
        sequencer=random.choice(["", "1", "12", "A", "A1"]),
        event_name=random.choice(["ObjectCreated:Copy", "ObjectCreated:Put", "ObjectRemoved:Delete"]),
        event_time=NOON + timedelta(microseconds=random.choice([0, 1])),
        size_bytes=random.choice([None, 0, 1, 2**63 - 1]),
        etag=random.choice([None, "a", "B", "b"]),
    )


def message(message_id: str = "m-1", body: str = "{}", receive_count: int = 1) -> Message:
    """A received message."""
    return Message(
        queue="http://queue.test/1/main",
        message_id=message_id,
        receipt_handle=f"handle-{message_id}",
        body=body,
        sent_at=0.0,
        receive_count=receive_count,
        lease=Lease(queue="http://queue.test/1/main", expires_at=0.0, handles=set()),
    )
