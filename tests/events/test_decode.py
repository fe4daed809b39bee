"""Decode: any body gives one delivery."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.events.decode import decode
from subscriber.events.key import MAX_BUCKET_BYTES, MAX_ETAG_BYTES, MAX_KEY_BYTES, MAX_VERSION_ID_BYTES, is_storable
from subscriber.events.names import IGNORED, IGNORED_FAMILIES, STATES
from subscriber.events.record import MAX_SIZE_BYTES
from subscriber.events.rejection import REASONS
from subscriber.events.sender import SENDERS
from subscriber.model import Delivery, Lease, Message, Rejection
from testkit.workload import notifications
from tests.events.samples import ABSENT, EXPECTED, PROPERTY, body, decoded, emission, record

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(sorted(STATES | dict.fromkeys(IGNORED))) | st.text(max_size=12)
record_likes = st.builds(
    record,
    event_name=names | json_values,
    bucket=st.sampled_from(["lake", "", "b" * 300]) | json_values,
    key=st.sampled_from(["a", "%FF", "%00", "k" * 1500]) | st.text(max_size=8) | json_values,
    size=st.integers(-1, 2**64) | json_values,
    eTag=st.text(max_size=300) | json_values,
    versionId=st.sampled_from(["null", None, "v" * 1100]) | json_values,
    sequencer=st.sampled_from(["", "XYZ", "00", "F" * 64]) | json_values,
    eventTime=st.sampled_from(["2026-08-02T07:51:20Z", "1969-01-01T00:00:00Z"]) | json_values,
    eventSource=st.sampled_from([*SENDERS, "other:s3", ABSENT]) | json_values,
    eventVersion=st.sampled_from(["2.1", "3.0"]) | json_values,
)


def of(text: str) -> Message:
    """A message with this body."""
    return Message("q", "id", "handle", text, 1.0, 2, Lease("q", 0.0, {"handle"}))


def assert_valid(delivery: Delivery) -> None:
    """The delivery keeps every guarantee of the model."""
    for event in delivery.events:
        assert event.bucket
        assert is_storable(event.bucket, MAX_BUCKET_BYTES)
        assert event.key
        assert is_storable(event.key, MAX_KEY_BYTES)
        assert is_storable(event.version_id, MAX_VERSION_ID_BYTES)
        assert event.version_id != "null"
        assert event.etag is None or (event.etag and is_storable(event.etag, MAX_ETAG_BYTES))
        assert event.size_bytes is None or 0 <= event.size_bytes <= MAX_SIZE_BYTES
        assert event.event_time.utcoffset() is not None
        assert len(event.event_name) <= 64
        assert set(event.sequencer) <= set("0123456789ABCDEF")
    assert set(delivery.ignored) <= IGNORED | {f"{family}*" for family in IGNORED_FAMILIES}
    assert 0 <= delivery.derived_sequencers <= len(delivery.events)
    if delivery.rejection is not None:
        assert delivery.rejection.reason in REASONS
        assert is_storable(delivery.rejection.detail, 1_000)


@PROPERTY
@given(st.text() | st.text(st.characters()))
def test_any_text(text: str) -> None:
    """Decode raises for no text; a text that is not JSON is rejected."""
    assert_valid(decoded(text))


@PROPERTY
@given(json_values)
def test_any_json(value: object) -> None:
    """Decode raises for no JSON, as a body, as records or inside SNS."""
    text = json.dumps(value)
    for candidate in (text, json.dumps({"Records": value}), notifications.sns_body(text)):
        assert_valid(decoded(candidate))


@PROPERTY
@given(st.lists(record_likes | json_values, max_size=4))
def test_anything_like_records(records: list[object]) -> None:
    """Records with any field broken are rejected one by one, and every record is accounted for."""
    delivery = decoded(body(*records))
    assert_valid(delivery)
    if delivery.rejection is None:
        assert len(delivery.events) + len(delivery.ignored) == len(records)


@PROPERTY
@given(st.sampled_from(["Object Created", "Object Deleted", "Object Tags Added"]) | json_values, json_values)
def test_anything_like_an_eventbridge_event(detail_type: object, detail: object) -> None:
    """Decode raises for nothing that claims to come from EventBridge."""
    like = {"source": "aws.s3", "detail-type": detail_type, "time": "2026-08-02T07:51:20Z", "detail": detail}
    assert_valid(decoded(json.dumps(like)))


@PROPERTY
@given(st.integers(0, 1_100), st.sampled_from(["", "\0", '"', "}", "\ud800"]))
def test_truncated_and_damaged_bodies(position: int, damage: str) -> None:
    """A body truncated or damaged anywhere is rejected or decoded; decode never raises."""
    text = body(record(), record(key="b"))
    assert_valid(decoded(text[:position] + damage))
    assert_valid(decoded(text[:position] + damage + text[position:]))


def test_the_delivery_holds_the_message() -> None:
    """Acknowledge finds the very message in the delivery, unchanged."""
    message = of(body(record()))
    delivery = decode(message)
    assert delivery == Delivery(message, events=(EXPECTED,))
    assert delivery.message is message


def test_derived_sequencers_are_counted() -> None:
    """The delivery counts the records whose sequencer begins with the event's own second."""
    delivery = decoded(body(record(), record(sequencer=None), record(sequencer="0055AED6DCD90281E5")))
    assert delivery.derived_sequencers == 2


def test_events_of_other_buckets_are_rejected() -> None:
    """With an allow-list, an event of another bucket is rejected, and the records beside it become rows."""
    text = body(record(), record(bucket="it's"), record(event_name="ObjectTagging:Put", bucket="it's"))
    delivery = decode(of(text), {"lake"})
    assert delivery.events == (EXPECTED,)
    assert delivery.ignored == ("ObjectTagging:Put",)
    detail = """1 of 3 records rejected (2); the first: the bucket "it's" is not one of SUBSCRIBER_BUCKETS"""
    assert delivery.rejection == Rejection("bucket_not_allowed", detail)


@pytest.mark.parametrize("envelope", notifications.ENVELOPES)
def test_the_allow_list_applies_in_every_envelope(envelope: notifications.Envelope) -> None:
    """A listed bucket passes; an unlisted one does not, nor one whose name is only similar."""
    text = notifications.body_of(emission("ObjectCreated:Put"), envelope)
    assert decode(of(text), {"lake"}).rejection is None
    rejection = decode(of(text), {"Lake", "lake ", "lak"}).rejection
    assert rejection is not None
    assert rejection.reason == "bucket_not_allowed"


def test_an_invalid_record_is_rejected_for_that() -> None:
    """The allow-list does not change the reason of an invalid record."""
    rejection = decode(of(body(record(bucket="other", size=-1))), {"lake"}).rejection
    assert rejection is not None
    assert rejection.reason == "bad_size"
