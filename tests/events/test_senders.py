"""Senders: one record of each line of docs/reference/senders.md, as its sender writes it."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from subscriber.events import rejection
from subscriber.events.order import fold
from subscriber.events.sender import SENDERS
from subscriber.model import ObjectEvent, Rejection
from testkit.workload import notifications
from tests.events.samples import (
    ABSENT,
    CANONICAL,
    EVENT_TIME,
    EXPECTED,
    SECOND,
    SEQUENCER,
    body,
    decoded,
    emission,
    event_of,
    reason_of,
    record,
)

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "senders.md"
KEY = "a b+c/é%.txt"
TIMED = f"{SECOND:08X}{EVENT_TIME.microsecond:05X}"
CONSTANT = "0055AED6DCD90281E5"
NANOSECONDS = "18C3B1D2E4F50617"


def native(source: str, key: str, sequencer: Any, **changes: Any) -> str:
    """A record of this sender."""
    return body(record(eventSource=source, key=key, sequencer=sequencer, **changes))


BRIDGED = notifications.eventbridge_body(emission("ObjectCreated:Put", key=KEY))
WHOLE_SECOND = EVENT_TIME.replace(microsecond=0)

READ: dict[str, tuple[str, dict[str, Any]]] = {
    "AWS S3": (native("aws:s3", "a+b%2Bc/%C3%A9%25.txt", SEQUENCER), {"sequencer": CANONICAL}),
    "AWS S3 by EventBridge": (BRIDGED, {"sequencer": CANONICAL, "event_time": WHOLE_SECOND}),
    "LocalStack": (native("aws:s3", "a%20b%2Bc/%C3%A9%25.txt", CONSTANT), {"sequencer": f"{SECOND:08X}{CONSTANT[2:]}"}),
    "moto": (native("aws:s3", "a+b%2Bc%2F%C3%A9%25.txt", ABSENT), {"sequencer": f"{SECOND:08X}".rstrip("0")}),
    "ministack": (
        native("aws:s3", "a+b%2Bc/%C3%A9%25.txt", "00000000000000002A"),
        {"sequencer": f"{SECOND:08X}000000000000002A"},
    ),
    "Ceph": (native("ceph:s3", KEY, "98F66E6AE0E8D303"), {"sequencer": f"{TIMED}98F66E6AE0E8D303"}),
    "MinIO": (
        native("minio:s3", "a+b%2Bc%2F%C3%A9%25.txt", NANOSECONDS, event_name="s3:ObjectCreated:Put"),
        {"sequencer": f"{TIMED}{NANOSECONDS}"},
    ),
    "RustFS": (
        native("rustfs:s3", "a+b%2Bc%2F%C3%A9%25.txt", NANOSECONDS, eventTime="2026-08-02T07:51:20.063000123Z"),
        {"sequencer": f"{TIMED}{NANOSECONDS}"},
    ),
    "NooBaa": (native("noobaa:s3", KEY, "19f1a2b3c4d"), {"sequencer": f"{TIMED}19F1A2B3C4D"}),
    "StorageGRID": (
        native("sgws:s3", "a b/é.txt", NANOSECONDS, eventVersion="2.0", eventTime="2026-08-02T07:51:20Z"),
        {"key": "a b/é.txt", "sequencer": f"{SECOND:08X}00000{NANOSECONDS}", "event_time": WHOLE_SECOND},
    ),
}
"""A body of each sender that is read, and how its event differs from EXPECTED besides the key."""

REJECTED: dict[tuple[str, str], str] = {
    ("Scality", rejection.MALFORMED_RECORD): native("scality:s3", KEY, None, eventVersion="1.0", size="12"),
    ("Scality", rejection.UNSUPPORTED_VERSION): native("scality:s3", KEY, None, eventVersion="1.0", size=None),
    ("SeaweedFS", rejection.NOT_JSON): "\n\x03abc\x12\x05/topic",
}
"""Bodies of senders that are not read, by sender and reason."""


def table() -> dict[str, list[str]]:
    """The cells of each line of the page's table, by sender."""
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return {cells[0]: cells for cells in rows[2:]}


def test_each_line_has_a_record() -> None:
    """No line of the table is without a test, and no sender of the code without a line."""
    assert table().keys() == READ.keys() | {sender for sender, _ in REJECTED}
    named = {cells[1].strip("`") for cells in table().values()}
    assert named & SENDERS.keys() == SENDERS.keys()


@pytest.mark.parametrize("cells", [cells for cells in table().values() if cells[1].strip("`") in SENDERS])
def test_each_line_says_what_the_code_does(cells: list[str]) -> None:
    """Encoding and order are those of the sender."""
    sender = SENDERS[cells[1].strip("`")]
    encoding = {"form": "form-encoded", "plain": "plain", "unknown": "not documented"}[sender.key_encoding]
    assert cells[2].startswith(encoding)
    assert cells[5]
    if not cells[4].startswith("quarantined") and cells[0] != "moto":
        assert (cells[4] == "time, then sequencer") == (not sender.is_sequencer_trusted)


@pytest.mark.parametrize("sender", READ)
def test_a_record_of_each_sender(sender: str) -> None:
    """Its key is the object's key, and its canonical sequencer begins with what orders its events."""
    text, changes = READ[sender]
    assert event_of(text) == msgspec.structs.replace(EXPECTED, **({"key": KEY} | changes))


@pytest.mark.parametrize(("sender", "reason"), REJECTED)
def test_a_body_of_each_sender_that_is_not_read(sender: str, reason: str) -> None:
    """It goes to the quarantine, for the reason that the page gives."""
    assert reason_of(REJECTED[sender, reason]) == reason
    assert f"`{reason}`" in table()[sender][4]


def test_two_objects_of_a_sender_that_does_not_encode_are_two_rows() -> None:
    """To Ceph `a+b` and `a b` are two objects, and the deletion of one leaves the other."""
    names = {"k/a+b": "ObjectCreated:Put", "k/a b": "ObjectRemoved:Delete", "logs/%41.txt": "ObjectCreated:Put"}
    records = [record(eventSource="ceph:s3", key=key, event_name=name) for key, name in names.items()]
    rows = {event.key: event.state for event in fold(decoded(body(*records)).events)}
    assert rows == {"k/a+b": "present", "k/a b": "removed", "logs/%41.txt": "present"}


@pytest.mark.parametrize("source", [name for name, sender in SENDERS.items() if not sender.is_sequencer_trusted])
@pytest.mark.parametrize("digits", [("F" * 16, "1"), (f"{SECOND + 3600:08X}FF", f"{SECOND - 3600:08X}"), ("1", None)])
def test_untrusted_digits_never_order_before_the_time(source: str, digits: tuple[str, str | None]) -> None:
    """A millisecond later is later, whatever the digits say, even if they look like a second near the event's."""
    times = ["2026-08-02T07:51:20.899Z", "2026-08-02T07:51:20.900Z"]
    put, removal = (
        event_of(native(source, "k", given, eventTime=time, event_name=name))
        for given, time, name in zip(digits, times, ["ObjectCreated:Put", "ObjectRemoved:Delete"], strict=True)
    )
    assert put.sequencer < removal.sequencer
    assert fold([removal, put]) == fold([put, removal]) == (removal,)


@pytest.mark.parametrize("source", [name for name, sender in SENDERS.items() if not sender.is_sequencer_trusted])
def test_untrusted_digits_order_events_of_one_time(source: str) -> None:
    """Between two events of one time the digits are the only evidence."""
    one, other = (event_of(native(source, "k", digits)) for digits in ("18C3B1D2E4F50617", "18C3B1D2E4F50618"))
    assert fold([other, one]) == (other,)


def test_the_time_of_any_event_orders_first() -> None:
    """Over a second and a day: the order of untrusted events is that of their times."""
    times = [
        "00:00:00Z",
        "00:00:00.000001Z",
        "00:00:00.9Z",
        "00:00:01Z",
        "00:00:15.5Z",
        "00:00:16Z",
        "23:59:59.999999Z",
    ]
    events: list[ObjectEvent] = [
        event_of(native("minio:s3", "k", digits, eventTime=f"2026-08-02T{time}"))
        for time, digits in zip(times, itertools.cycle(["FF", None, "0", "8000"]), strict=False)
    ]
    assert sorted(events, key=lambda event: event.sequencer) == events


@pytest.mark.parametrize("source", ["", "aws", "s3.amazonaws.com", "other:s3", "x" * 10_000])
@pytest.mark.parametrize("changes", [{}, {"event_name": "ObjectTagging:Put"}, {"size": "of another type"}])
def test_an_unknown_sender_is_rejected(source: str, changes: dict[str, str]) -> None:
    """Whatever it says, even of tags: what its names mean is not known."""
    delivery = decoded(body(record(eventSource=source, **changes)))
    detail = f"no rule for the sender {rejection.quoted(source)}"
    assert (delivery.events, delivery.ignored, delivery.unknown) == ((), (), (detail,))
    assert delivery.rejection == Rejection(rejection.UNKNOWN_EVENT, detail)


def test_a_record_without_a_sender_is_read_as_one_of_aws() -> None:
    """Records written by hand, and those of old tools, have no `eventSource`."""
    assert event_of(body(record(eventSource=ABSENT))) == EXPECTED
    tags = {"eventName": "ObjectTagging:Put", "s3": 5}
    assert decoded(json.dumps({"Records": [tags]})).ignored == ("ObjectTagging:Put",)


@pytest.mark.parametrize("key", ["a+b", "%41", "100%"])
def test_a_key_that_two_rules_read_differently_is_rejected(key: str) -> None:
    """Where it is not known whether a sender encodes keys, a guess could make two objects one row."""
    delivery = decoded(native("sgws:s3", key, NANOSECONDS))
    assert delivery.rejection is not None
    assert delivery.rejection.reason == rejection.BAD_KEY
    assert "not known whether its sender encodes keys" in delivery.rejection.detail
