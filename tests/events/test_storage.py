"""What a record says beside its content: storage facts, and who made the request."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from subscriber.events.decode import decode
from subscriber.model import DetailedEvent, Lease, Message, ObjectEvent, StorageFact
from subscriber.options import pipeline_options
from subscriber.settings.table import Settings
from tests.events.samples import SECOND, VERSION_ID, body, decoded, event_of, record

UNTIL = datetime(2026, 8, 9, tzinfo=UTC)
REQUEST = {
    "requestParameters": {"sourceIPAddress": "192.0.2.7"},
    "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "x"},
}


def kept(text: str) -> ObjectEvent:
    """The event of a body where requesters are kept."""
    lease = Lease(queue="queue", expires_at=0.0, handles=set())
    (event,) = decode(Message("queue", "id", "handle", text, 0.0, 1, lease), keeps_requester=True).events
    return event


def bridged(detail_type: str, **detail: Any) -> str:
    """An event of EventBridge."""
    described = {"key": "sales/part 1.parquet", "size": 1024, "etag": "e", "version-id": VERSION_ID}
    event = {
        "version": "0",
        "source": "aws.s3",
        "detail-type": detail_type,
        "time": "2026-08-02T07:51:20Z",
        "detail": {"version": "0", "bucket": {"name": "lake"}, "object": described, **detail},
    }
    return json.dumps(event)


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        (
            "LifecycleTransition",
            {"lifecycleEventData": {"transitionEventData": {"destinationStorageClass": "GLACIER"}}},
            ("GLACIER", None, None),
        ),
        (
            "IntelligentTiering",
            {"intelligentTieringEventData": {"destinationAccessTier": "ARCHIVE_ACCESS"}},
            ("INTELLIGENT_TIERING", "ARCHIVE_ACCESS", None),
        ),
        (
            "ObjectRestore:Completed",
            {"glacierEventData": {"restoreEventData": {"lifecycleRestorationExpiryTime": "2026-08-09T00:00:00.000Z"}}},
            (None, None, UNTIL),
        ),
        ("ObjectRestore:Delete", {}, (None, None, None)),
    ],
)
def test_native_storage_facts(name: str, data: dict[str, Any], expected: tuple[Any, ...]) -> None:
    """Each says its part of the storage of one version; without a sequencer its second orders it."""
    event = event_of(body(record(event_name=name, sequencer="", **data)))
    assert isinstance(event, StorageFact)
    assert (event.storage_class, event.access_tier, event.restored_until) == expected
    assert (event.state, event.version_id, event.sequencer) == ("unchanged", VERSION_ID, f"{SECOND:08X}".rstrip("0"))


@pytest.mark.parametrize(
    ("detail_type", "detail", "expected"),
    [
        ("Object Storage Class Changed", {"destination-storage-class": "GLACIER"}, ("GLACIER", None, None)),
        (
            "Object Access Tier Changed",
            {"destination-access-tier": "DEEP_ARCHIVE_ACCESS"},
            ("INTELLIGENT_TIERING", "DEEP_ARCHIVE_ACCESS", None),
        ),
        ("Object Restore Completed", {"restore-expiry-time": "2026-08-09T00:00:00Z"}, (None, None, UNTIL)),
        ("Object Restore Expired", {}, (None, None, None)),
    ],
)
def test_bridged_storage_facts(detail_type: str, detail: dict[str, Any], expected: tuple[Any, ...]) -> None:
    """EventBridge has the same facts under other names."""
    event = event_of(bridged(detail_type, **detail))
    assert isinstance(event, StorageFact)
    assert (event.storage_class, event.access_tier, event.restored_until) == expected


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("LifecycleTransition", {}),
        ("LifecycleTransition", {"lifecycleEventData": None}),
        ("LifecycleTransition", {"lifecycleEventData": {"transitionEventData": {"destinationStorageClass": 5}}}),
        ("LifecycleTransition", {"lifecycleEventData": {"transitionEventData": {"destinationStorageClass": "x" * 65}}}),
        ("IntelligentTiering", {"intelligentTieringEventData": ["ARCHIVE_ACCESS"]}),
        ("ObjectRestore:Completed", {"glacierEventData": {"restoreEventData": {}}}),
        ("ObjectRestore:Delete", {"eventTime": "never"}),
        ("ObjectRestore:Delete", {"eventTime": 5}),
        ("ObjectRestore:Delete", {"key": ""}),
    ],
)
def test_a_fact_that_cannot_be_used_is_ignored(name: str, data: dict[str, Any]) -> None:
    """As before anybody read it: no row is missing without it, so the quarantine does not get it."""
    delivery = decoded(body(record(event_name=name, **data)))
    assert (delivery.events, delivery.rejection, delivery.ignored) == ((), None, (name,))


def test_a_fact_of_a_bucket_that_is_not_allowed_is_ignored() -> None:
    """As every event that says nothing about existence."""
    lease = Lease(queue="queue", expires_at=0.0, handles=set())
    text = body(record(event_name="ObjectRestore:Delete"))
    delivery = decode(Message("queue", "id", "handle", text, 0.0, 1, lease), frozenset({"other"}))
    assert (delivery.events, delivery.rejection, delivery.ignored) == ((), None, ("ObjectRestore:Delete",))


def test_requesters_are_kept_only_where_that_is_wanted() -> None:
    """They are personal data."""
    text = body(record(**REQUEST))
    assert type(event_of(text)) is ObjectEvent
    event = kept(text)
    assert isinstance(event, DetailedEvent)
    assert (event.requester, event.remote_ip, event.request_id) == (
        "AWS:AROA4EXAMPLE7INGEST2Q:upload",
        "192.0.2.7",
        "C3D13FE58DE4C810",
    )


def test_the_setting_keeps_requesters() -> None:
    """It is off unless it is switched on."""
    given = {"SUBSCRIBER_QUEUE_URLS": "http://queue.test/1/main", "SUBSCRIBER_DATABASE_URL": "postgresql://localhost/x"}
    assert not pipeline_options(Settings.from_environment(given)).keeps_requester
    assert pipeline_options(Settings.from_environment(given | {"SUBSCRIBER_KEEP_REQUESTER": "true"})).keeps_requester


def test_bridged_requesters() -> None:
    """EventBridge has them in the detail."""
    detail = {
        "requester": "123456789012",
        "source-ip-address": "192.0.2.7",
        "request-id": "C3D1",
    }
    event = kept(bridged("Object Created", reason="PutObject", **detail))
    assert isinstance(event, DetailedEvent)
    assert (event.requester, event.remote_ip, event.request_id) == ("123456789012", "192.0.2.7", "C3D1")


@pytest.mark.parametrize("odd", [None, 5, [], "x", {"principalId": 5}, {"principalId": "x\0"}, {"principalId": ""}])
def test_an_odd_identity_rejects_nothing(odd: Any) -> None:
    """The event is stored without it."""
    event = kept(body(record(userIdentity=odd)))
    assert type(event) is ObjectEvent
    assert event.state == "present"
