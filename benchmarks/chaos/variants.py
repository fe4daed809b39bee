"""Variants of the load: messages that AWS does not send today, and those of another store.

unknown: every ninth message is one whose event name, detail-type, deletion-type or sender no rule knows. It must end
    whole in the quarantine, and a record beside it that is known in the index as well.
ceph: records as Ceph sends them: keys are not encoded, and the sequencer is the bytes of a time in memory, the lowest
    first, so its text does not order events (docs/reference/senders.md has the source).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final, Literal, TypeAlias

import msgspec

from subscriber.model import ObjectEvent
from testkit.workload import backlogs, notifications
from testkit.workload.bucket import START, Emission

Variant: TypeAlias = Literal["aws", "unknown", "ceph"]

UNKNOWN_EVENT: Final = "unknown_event"
"""The reason with which the quarantine must hold such a message."""
_UNKNOWN_EVERY = 9
_UNKNOWN_POSITION = 4
_RAW_PREFIX = "landing/a+b %2B/é/part-"
"""Form-decoding would change it."""
_SAME_TIME_EVENTS = 3
"""So many events in turn have the same time: then the digits decide."""
_EXTRA_MICROSECONDS = 777
_TIME_IN_MEMORY = struct.Struct("<II")
"""`ceph_timespec`: seconds and nanoseconds, little-endian on x86 and ARM."""


def unknown_body(index: int) -> str | None:
    """The body of the message with this index if it is an unknown event; None for all others."""
    if index % _UNKNOWN_EVERY != _UNKNOWN_POSITION:
        return None
    kinds = list(_UNKNOWN.values())
    return kinds[index // _UNKNOWN_EVERY % len(kinds)](index)


def events_beside_unknown(index: int, known: ObjectEvent) -> tuple[ObjectEvent, ...]:
    """The events of the unknown message with this index that are known: `known`, where it has one."""
    kinds = list(_UNKNOWN)
    return (known,) if kinds[index // _UNKNOWN_EVERY % len(kinds)] == "record beside a known one" else ()


def _emission(index: int) -> Emission:
    return Emission(
        backlogs.BUCKET,
        backlogs.key(index),
        None,
        "ObjectRemoved:Delete",
        START,
        backlogs.sequencer_of(index),
    )


def _named(index: int, name: str, source: str = "aws:s3") -> dict[str, object]:
    return notifications.native_record(_emission(index)) | {"eventName": name, "eventSource": source}


def _native(*records: dict[str, object]) -> str:
    return msgspec.json.encode({"Records": records}).decode()


def _eventbridge(index: int, old: str, new: str) -> str:
    return notifications.eventbridge_body(_emission(index)).replace(f'"{old}"', f'"{new}"')


def _beside_known(index: int) -> str:
    known = backlogs.put_record(known_number(index), index, str(backlogs.size_of(index)))
    unknown = msgspec.json.encode(_named(index, "ObjectMoved:Rename")).decode()
    return backlogs.records_body([known, unknown])


def known_number(index: int) -> int:
    """The number of the object in the known record of an unknown message: an object of its own."""
    return 10_000_000 + index


_UNKNOWN: Final[Mapping[str, Callable[[int], str]]] = {
    "name": lambda index: _native(_named(index, "ObjectMoved:Rename")),
    "name of a known family": lambda index: _native(_named(index, "ObjectRemoved:DeleteAllVersions")),
    "name of another store": lambda index: _native(_named(index, "ObjectLifecycle:Expiration:Current", "ceph:s3")),
    "sender": lambda index: _native(_named(index, "ObjectCreated:Put", "example:s3")),
    "detail-type": lambda index: _eventbridge(index, "Object Deleted", "Object Renamed"),
    "deletion-type": lambda index: _eventbridge(index, "Permanently Deleted", "Temporarily Deleted"),
    "in SNS": lambda index: notifications.sns_body(_native(_named(index, "ObjectMoved:Rename"))),
    "record beside a known one": _beside_known,
}


def ceph_key(number: int, hot_objects: int) -> str:
    """The key of an object: those that faults refer to keep their names."""
    return backlogs.key(number) if number < hot_objects else f"{_RAW_PREFIX}{number:012}.parquet"


def ceph_record(key: str, moment: int, size: str) -> str:
    """A record as Ceph writes it, with any text as its size."""
    event_time = START + _since_start(moment)
    record = {
        "eventVersion": "2.2",
        "eventSource": "ceph:s3",
        "awsRegion": "default",
        "eventTime": f"{event_time:%Y-%m-%dT%H:%M:%S.%f}Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "landing"},
        "requestParameters": {"sourceIPAddress": ""},
        "responseElements": {"x-amz-request-id": "503a4c37", "x-amz-id-2": "14d2-zone1-zonegroup1"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "object-index-all-events",
            "bucket": {
                "name": backlogs.BUCKET,
                "ownerIdentity": {"principalId": "landing"},
                "arn": f"arn:aws:s3:default::{backlogs.BUCKET}",
                "id": "503a4c37-85eb-47cd-8681-2817e80b4281.5330.903595",
            },
            "object": {
                "key": key,
                "size": msgspec.Raw(size.encode()),
                "eTag": backlogs.etag_of(moment),
                "versionId": "",
                "sequencer": _ceph_digits(moment),
                "metadata": [],
                "tags": [],
            },
        },
        "eventId": "",
        "opaqueData": "",
    }
    return msgspec.json.encode(record).decode()


def ceph_event(key: str, moment: int) -> ObjectEvent:
    """The row that such a record must lead to: its whole time orders first, then the digits."""
    event_time = START + _since_start(moment)
    time_digits = f"{int(event_time.timestamp()):08X}{event_time.microsecond:05X}"
    return ObjectEvent(
        bucket=backlogs.BUCKET,
        key=key,
        version_id="",
        state="present",
        sequencer=f"{time_digits}{_ceph_digits(moment)}".rstrip("0"),
        event_name="ObjectCreated:Put",
        event_time=event_time,
        size_bytes=backlogs.size_of(moment),
        etag=backlogs.etag_of(moment),
    )


def _since_start(moment: int) -> timedelta:
    return timedelta(milliseconds=moment // _SAME_TIME_EVENTS, microseconds=_EXTRA_MICROSECONDS)


def _ceph_digits(moment: int) -> str:
    # The time of the request in nanoseconds: between events of the same millisecond only the last of them differ.
    since = _since_start(moment)
    seconds = int((START + since).timestamp())
    nanoseconds = since.microseconds * 1000 + moment % _SAME_TIME_EVENTS
    return _TIME_IN_MEMORY.pack(seconds, nanoseconds).hex().upper()
