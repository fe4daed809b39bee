"""Envelopes: recognized by shape, opened once, rejected if unknown."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from subscriber.events import rejection
from subscriber.events.names import IGNORED, STATES, TEST_EVENT
from subscriber.events.order import order
from subscriber.model import Rejection
from testkit.workload import notifications
from tests.events.samples import EXPECTED, VERSION_ID, body, decoded, emission, event_of, reason_of, record

BRIDGED_IGNORED = sorted(notifications._OTHER_DETAIL_TYPES)


def test_native_body() -> None:
    """A native record becomes one event with every field."""
    assert event_of(body(record())) == EXPECTED


@pytest.mark.parametrize("minor", range(7))
def test_every_minor_version_with_unknown_fields(minor: int) -> None:
    """A new minor version, or an unknown field, changes nothing."""
    future = record(
        eventVersion=f"2.{minor}",
        objectRetentionEventData={"mode": "GOVERNANCE", "eventHold": {"deep": [1, 2.5, None, "x"]}},
        somethingNew=[{"x": 1e300}],
    )
    future["s3"]["object"]["hasObjectAnnotation"] = True
    future["s3"]["bucket"]["awsGeneratedTags"] = {"aws:cloudformation:stack-name": "lake"}
    assert event_of(json.dumps({"Records": [future], "Also": "new"})) == EXPECTED


@pytest.mark.parametrize("version", ["1.0", "3.0", "20.1", "", "two"])
def test_another_major_version_is_rejected(version: str) -> None:
    """Another major may mean anything."""
    assert reason_of(body(record(eventVersion=version))) == rejection.UNSUPPORTED_VERSION


def test_several_records() -> None:
    """A message may carry any number of records."""
    delivery = decoded(body(record(), record(key="b"), record(key="c")))
    assert [event.key for event in delivery.events] == ["sales/part 1.parquet", "b", "c"]
    assert delivery.rejection is None


def test_no_records() -> None:
    """A body without records is an empty delivery, not a rejection."""
    delivery = decoded('{"Records":[]}')
    assert (delivery.events, delivery.rejection, delivery.ignored) == ((), None, ())


@pytest.mark.parametrize("event_name", sorted(STATES))
@pytest.mark.parametrize("envelope", notifications.ENVELOPES)
def test_every_event_that_makes_a_row_in_every_envelope(event_name: str, envelope: notifications.Envelope) -> None:
    """The envelope changes only the precision of the event's time."""
    sent = emission(event_name)
    event = event_of(notifications.body_of(sent, envelope))
    assert (event.event_name, event.state) == (event_name, STATES[event_name])
    assert (event.bucket, event.key, event.version_id) == ("lake", sent.key, VERSION_ID)
    assert (event.size_bytes, event.etag, event.sequencer) == (
        sent.size_bytes,
        sent.etag,
        EXPECTED.sequencer,
    )
    assert event.event_time.replace(microsecond=0) == EXPECTED.event_time.replace(microsecond=0)


@pytest.mark.parametrize("event_name", sorted(IGNORED - {TEST_EVENT, "ObjectRestore:Delete"}))
def test_native_events_that_say_nothing_about_existence(event_name: str) -> None:
    """Tags, ACL, restores and the like make no row, with or without sequencer and size."""
    sent = emission(event_name, sequencer="")
    delivery = decoded(notifications.native_body(sent))
    assert (delivery.events, delivery.rejection, delivery.ignored) == ((), None, (event_name,))


@pytest.mark.parametrize("event_name", [name for name in BRIDGED_IGNORED if name != "ObjectRestore:Delete"])
def test_bridged_events_that_say_nothing_about_existence(event_name: str) -> None:
    """EventBridge's names for them are counted under the native names."""
    delivery = decoded(notifications.eventbridge_body(emission(event_name, sequencer="")))
    assert (delivery.events, delivery.rejection, delivery.ignored) == ((), None, (event_name,))


def test_ignored_bridged_events_are_not_validated() -> None:
    """An ignored event is not rejected for a field that is not needed."""
    ignored = {"source": "aws.s3", "detail-type": "Object Tags Added", "detail": {"object": {"key": 5}}}
    assert decoded(json.dumps(ignored)).ignored == ("ObjectTagging:Put",)


CLOUDTRAIL = "AWS API Call via CloudTrail"
TRAIL = {
    "eventSource": "s3.amazonaws.com",
    "eventName": "PutObject",
    "requestParameters": {"bucketName": "lake", "key": "in/one.parquet"},
}


@pytest.mark.parametrize("detail_type", [CLOUDTRAIL, "Object Painted Green", "Object ObjectCreated Put"])
@pytest.mark.parametrize("wrap", [str, notifications.sns_body])
def test_bridged_events_of_an_unknown_type(detail_type: str, wrap: Callable[[str], str]) -> None:
    """An unknown detail-type is rejected whole, with a good detail or another one."""
    bridged = json.loads(notifications.eventbridge_body(emission("ObjectCreated:Put")))
    for detail in (bridged["detail"], TRAIL):
        delivery = decoded(wrap(json.dumps(bridged | {"detail-type": detail_type, "detail": detail})))
        told = f"no rule for the detail-type '{detail_type}'"
        assert (delivery.events, delivery.ignored, delivery.unknown) == ((), (), (told,))
        assert delivery.rejection == Rejection(rejection.UNKNOWN_EVENT, told)


def test_a_record_of_a_trail() -> None:
    """A log record of another service in `Records` is rejected as unknown."""
    assert reason_of(json.dumps({"Records": [TRAIL]})) == rejection.UNKNOWN_EVENT


def test_test_event() -> None:
    """S3's test event is counted and acknowledged, wrapped or not."""
    plain = notifications.test_event_body("lake")
    for text in (plain, notifications.sns_body(plain), '{"Service":"Amazon S3","Event":"s3:TestEvent"}'):
        delivery = decoded(text)
        assert (delivery.events, delivery.rejection, delivery.ignored) == ((), None, ("s3:TestEvent",))


def test_sns_without_a_subject() -> None:
    """Other fields of the SNS envelope are ignored."""
    wrapped = json.loads(notifications.sns_body(body(record())))
    wrapped |= {"Subject": None, "MessageAttributes": {"a": {"Type": "String", "Value": "b"}}}
    assert event_of(json.dumps(wrapped)) == EXPECTED


def test_sns_inside_sns_is_rejected() -> None:
    """A notification is unwrapped only once, so that nesting is bounded."""
    nested = notifications.sns_body(notifications.sns_body(body(record())))
    assert reason_of(nested) == rejection.UNKNOWN_ENVELOPE


def test_bridged_event_and_native_one_are_the_same_version_of_an_object() -> None:
    """Both give the same order, except for the fraction of a second that EventBridge drops."""
    sent = emission("ObjectCreated:Put")
    native, bridged = event_of(notifications.native_body(sent)), event_of(notifications.eventbridge_body(sent))
    assert order(native)[0] == order(bridged)[0]
    assert order(native)[2:] == order(bridged)[2:]


def test_bridged_creation_for_an_unknown_reason() -> None:
    """A creation with an unknown reason is still a creation."""
    bridged = json.loads(notifications.eventbridge_body(emission("ObjectCreated:Put")))
    bridged["detail"]["reason"] = "RenameObject"
    event = event_of(json.dumps(bridged))
    assert (event.state, event.event_name) == ("present", "ObjectCreated:*")


@pytest.mark.parametrize("deletion_type", [None, "Shredded"])
def test_bridged_deletion_that_does_not_say_what_is_left(deletion_type: str | None) -> None:
    """Delete marker or tombstone is never guessed."""
    bridged = json.loads(notifications.eventbridge_body(emission("ObjectRemoved:Delete")))
    del bridged["detail"]["deletion-type"]
    if deletion_type:
        bridged["detail"]["deletion-type"] = deletion_type
    assert reason_of(json.dumps(bridged)) == rejection.UNKNOWN_EVENT


@pytest.mark.parametrize(
    "text",
    ["", " ", "hello", "{", '{"Records":[', "\ufeff{}", '{"a":NaN}', '{"Records":[{"a":"\\ud800"}]}', "\ud800"],
)
def test_not_json(text: str) -> None:
    """Text that is not JSON, or that a text column cannot hold, is rejected as such."""
    assert reason_of(text) == rejection.NOT_JSON


@pytest.mark.parametrize(
    "text", ['{"x":' * 100_000, '{"Records":[{"eventName":' + "[" * 100_000, '{"Records":5,"x":' + "[" * 100_000]
)
def test_deep_nesting(text: str) -> None:
    """Deep nesting is rejected, without a RecursionError."""
    assert reason_of(text) == rejection.NOT_JSON


@pytest.mark.parametrize(
    "unknown",
    [
        None,
        5,
        "text",
        [],
        {},
        {"Records": None},
        {"Records": {}},
        {"records": []},
        {"Event": "s3:OtherEvent"},
        {"Type": "SubscriptionConfirmation", "Message": "You have chosen to subscribe", "Token": "x"},
        {"Type": "Notification"},
        {"Type": "Notification", "Message": {"Records": []}},
        {"source": "aws.ec2", "detail-type": "EC2 Instance State-change", "time": "x", "detail": {"state": 1}},
        {"source": "aws.s3", "detail-type": "Object Created"},
    ],
)
def test_unknown_envelopes(unknown: object) -> None:
    """JSON of any other shape is rejected."""
    assert reason_of(json.dumps(unknown)) == rejection.UNKNOWN_ENVELOPE


def test_sns_message_of_another_sender() -> None:
    """The rejection says that the inner text could not be decoded."""
    delivery = decoded(notifications.sns_body("ALARM: disk full"))
    assert delivery.rejection is not None
    assert delivery.rejection.reason == rejection.NOT_JSON
    assert "SNS" in delivery.rejection.detail


def test_an_unknown_field_beside_valid_records() -> None:
    """Other fields of the body do not affect its records."""
    assert event_of(json.dumps({"Records": [record()], "Type": 7, "detail": "x"})) == EXPECTED
