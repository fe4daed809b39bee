"""JSON bodies in every known envelope, and in unknown ones that resemble them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from subscriber.events.rejection import MALFORMED_RECORD, NOT_JSON, UNKNOWN_ENVELOPE, UNKNOWN_EVENT
from testkit.workload import notifications
from tests.corpus.case import Case, as_json, meant
from tests.events.samples import CANONICAL, EVENT_TIME, body, emission, record

_CONFIRMATION = {
    "Type": "SubscriptionConfirmation",
    "Message": "You have chosen to subscribe to the topic.",
    "Token": "2336412f37fb687f5d51e6e2425f0a51a8b1c2",
    "SubscribeURL": "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription",
}


def envelopes() -> Iterator[Case]:
    """All cases about envelopes."""
    yield from _wrapped()
    yield from _from_eventbridge()
    yield from _unknown()
    yield from _mixed()
    test_event = notifications.test_event_body("lake")
    yield Case("test event", test_event, ignored=("s3:TestEvent",))
    yield Case("test event by SNS", notifications.sns_body(test_event), ignored=("s3:TestEvent",))
    yield Case("no records", '{"Records": []}')


def _wrapped() -> Iterator[Case]:
    wrap = notifications.sns_body
    yield Case("SNS", wrap(body(record(bucket="SNS"))), (meant("SNS"),))
    yield Case("SNS inside SNS", wrap(wrap(body(record()))), reason=UNKNOWN_ENVELOPE)
    yield Case("SNS inside SNS inside SNS", wrap(wrap(wrap(body(record())))), reason=UNKNOWN_ENVELOPE)
    yield Case("SNS of words", wrap("ALARM: disk full"), reason=NOT_JSON)
    yield Case("SNS of nothing", wrap(""), reason=NOT_JSON)
    yield Case("SNS of a deep text", wrap('{"x":' * 100_000), reason=NOT_JSON)
    yield Case("SNS of half an event", wrap(body(record())[:200]), reason=NOT_JSON)
    yield Case(
        "SNS with a message that is no text", as_json({"Type": "Notification", "Message": {}}), reason=UNKNOWN_ENVELOPE
    )
    yield Case("SNS confirmation", as_json(_CONFIRMATION), reason=UNKNOWN_ENVELOPE)
    both = json.loads(wrap(body(record()))) | json.loads(body(record(bucket="Records beside Message")))
    yield Case("Records beside Message", as_json(both), (meant("Records beside Message"),))


def _eventbridge_message(name: str, event_name: str = "ObjectCreated:Put", **changes: Any) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(notifications.eventbridge_body(emission(event_name, bucket=name)))
    detail = {field: changes.pop(field) for field in list(changes) if field in ("reason", "object", "bucket")}
    message["detail"] |= detail
    return message | changes


def _from_eventbridge() -> Iterator[Case]:
    whole_second = EVENT_TIME.replace(microsecond=0)
    name = "EventBridge with plus and percent"
    message = _eventbridge_message(name)
    message["detail"]["object"]["key"] = "100%25+sure %FF.txt"
    event = meant(name, key="100%25+sure %FF.txt", event_time=whole_second)
    yield Case(name, as_json(message), (event,))
    name = "EventBridge by SNS"
    event = meant(name, event_time=whole_second)
    yield Case(name, notifications.sns_body(as_json(_eventbridge_message(name))), (event,))
    name = "EventBridge removal without its kind"
    message = _eventbridge_message(name, "ObjectRemoved:Delete")
    del message["detail"]["deletion-type"]
    yield Case(name, as_json(message), reason=UNKNOWN_EVENT)
    yield Case(
        "EventBridge without detail", as_json(_eventbridge_message("x") | {"detail": {}}), reason=MALFORMED_RECORD
    )
    yield Case("EventBridge with a list", as_json(_eventbridge_message("x") | {"detail": []}), reason=MALFORMED_RECORD)
    yield Case(
        "EventBridge with a number for a time",
        as_json(_eventbridge_message("x") | {"time": 5}),
        reason=MALFORMED_RECORD,
    )
    yield Case(
        "EventBridge by another service",
        as_json(_eventbridge_message("x") | {"source": "aws.ec2"}),
        reason=UNKNOWN_ENVELOPE,
    )
    painted = {"source": "aws.s3", "detail-type": "Object Painted Green", "detail": {"object": {"key": 5}}}
    trail = painted | {"detail-type": "AWS API Call via CloudTrail", "detail": {"eventName": "DeleteObject"}}
    yield Case("EventBridge trail", as_json(trail), reason=UNKNOWN_EVENT)
    yield Case("EventBridge painting", as_json(painted), reason=UNKNOWN_EVENT)


def _unknown() -> Iterator[Case]:
    for number, value in enumerate(
        [
            {},
            {"Records": None},
            {"Records": {}},
            {"Records": "x"},
            {"Event": "s3:OtherEvent"},
            {"Type": 7},
            {"detail": 1},
        ]
    ):
        yield Case(f"unknown {number}", as_json(value), reason=UNKNOWN_ENVELOPE)
    pollution = {"__proto__": {"Records": []}, "constructor": 1, "__class__": "os.system"}
    yield Case("names that mean something elsewhere", as_json(pollution), reason=UNKNOWN_ENVELOPE)


def _mixed() -> Iterator[Case]:
    name = "good, bad and ignored"
    records = [
        record(bucket=name, key="first"),
        record(bucket=name, size=-1),
        record(bucket=name, event_name="ObjectTagging:Put"),
        5,
        record(bucket=name, event_name="ObjectTagging:Dreamt"),
        record(bucket=name, key="last"),
    ]
    good = (meant(name, key="first"), meant(name, key="last"))
    yield Case(name, body(*records), good, "bad_size", ("ObjectTagging:Put", "ObjectTagging:*"))
    name = "one object in every state"
    later, latest = (f"{CANONICAL[:-1]}{last}" for last in "45")
    history = [
        record(bucket=name, event_name="ObjectRemoved:Delete", sequencer=f"00{latest}"),
        record(bucket=name),
        record(bucket=name, event_name="ObjectRemoved:DeleteMarkerCreated", sequencer=f"00{later}"),
        record(bucket=name),
    ]
    removed = meant(name, event_name="ObjectRemoved:Delete", state="removed", sequencer=latest)
    marked = meant(name, event_name="ObjectRemoved:DeleteMarkerCreated", state="delete_marker", sequencer=later)
    yield Case(name, body(*history), (removed, meant(name), marked, meant(name)))
