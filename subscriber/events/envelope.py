"""Opens a message body: S3 records, an SNS notification, an EventBridge event, S3's test event, or unknown.

The envelope is recognized by its shape, without configuration; a queue may carry all of them. One strict pass reads
every well-formed body. Only if a field has the wrong type does a second, lenient pass decode the records one by one,
so that a bad record does not cost the good ones. A body that is not JSON has no records to save.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from subscriber.events import rejection
from subscriber.events.eventbridge import SOURCE, Detail, as_record
from subscriber.events.names import (
    STORAGE_FACTS,
    TEST_EVENT,
    ignored_label,
    name_of_detail,
    native_name,
    state_of,
)
from subscriber.events.record import Record
from subscriber.events.rejection import RejectedRecordError
from subscriber.events.sender import AWS, sender_of
from subscriber.model import Rejection

MAX_RECORDS: Final = 10_000
"""S3 sends one. The shortest record that makes a row has 106 characters, so a body of 1 MiB, the largest SQS accepts,
never holds this many. It could hold half a million empty ones, and rejecting each would take seconds."""


class Contents(msgspec.Struct, frozen=True, gc=False):
    """What a body holds: records, labels of events that say nothing about existence, and rejected records."""

    items: Sequence[Record | str | Rejection]
    keys_are_encoded: bool = True


class _Envelope(msgspec.Struct, frozen=True, gc=False):
    """All envelopes at once: the fields that are set determine which one it is."""

    records: list[Record] | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="Records")
    kind: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="Type")
    message: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="Message")
    event: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="Event")
    source: str | msgspec.UnsetType = msgspec.UNSET
    detail_type: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="detail-type")
    time: str | msgspec.UnsetType = msgspec.UNSET
    detail: Detail | msgspec.UnsetType = msgspec.UNSET


class _Outline(msgspec.Struct, frozen=True, gc=False):
    """The same for the lenient pass: every field stays undecoded until it is needed."""

    records: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="Records")
    source: msgspec.Raw = msgspec.Raw()
    detail_type: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="detail-type")


class _Named(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    event_name: str
    event_source: str = AWS


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_OUTLINE = msgspec.json.Decoder(_Outline)
_RECORDS = msgspec.json.Decoder(list[msgspec.Raw])
_RECORD = msgspec.json.Decoder(Record)
_NAMED = msgspec.json.Decoder(_Named)
_TEXT = msgspec.json.Decoder(str)
_UNKNOWN = Rejection(rejection.UNKNOWN_ENVELOPE, "neither S3 records nor an SNS, EventBridge or test event of S3")
_TOO_MANY = Rejection(rejection.TOO_MANY_RECORDS, f"more than {MAX_RECORDS} records")


def open_body(body: str) -> Contents | Rejection:
    """What `body` holds, or why it cannot be opened at all. Raises nothing."""
    return _open(body, is_wrapped=False)


def _open(body: str, *, is_wrapped: bool) -> Contents | Rejection:
    where = "the SNS message" if is_wrapped else "the body"
    try:
        try:
            return _contents(_ENVELOPE.decode(body), is_wrapped=is_wrapped)
        except msgspec.ValidationError as error:
            return _open_leniently(body, error)
    except (msgspec.DecodeError, UnicodeError):
        return Rejection(rejection.NOT_JSON, f"{where} is not JSON that a text column can hold")
    except RecursionError:
        return Rejection(rejection.NOT_JSON, f"{where} is JSON nested too deeply to be read")


def _contents(envelope: _Envelope, *, is_wrapped: bool) -> Contents | Rejection:
    if not isinstance(envelope.records, msgspec.UnsetType):
        return _TOO_MANY if len(envelope.records) > MAX_RECORDS else Contents(envelope.records)
    if envelope.kind == "Notification" and isinstance(envelope.message, str):
        if is_wrapped:
            return Rejection(rejection.UNKNOWN_ENVELOPE, "an SNS notification inside an SNS notification")
        return _open(envelope.message, is_wrapped=True)
    if envelope.event == TEST_EVENT:
        return Contents([TEST_EVENT])
    if envelope.source == SOURCE:
        return _bridged(envelope)
    return _UNKNOWN


def _bridged(envelope: _Envelope) -> Contents | Rejection:
    detail_type, time, detail = envelope.detail_type, envelope.time, envelope.detail
    if not (isinstance(detail_type, str) and isinstance(time, str) and isinstance(detail, Detail)):
        return _UNKNOWN
    try:
        return Contents([as_record(detail_type, time, detail)], keys_are_encoded=False)
    except RejectedRecordError as error:
        return error.rejection


def _open_leniently(body: str, error: msgspec.ValidationError) -> Contents | Rejection:
    """Read each record by itself after the strict pass failed with `error`."""
    try:
        outline = _OUTLINE.decode(body)
        records = _RECORDS.decode(outline.records) if bytes(outline.records) else None
    except msgspec.ValidationError:
        return _UNKNOWN
    if records is not None and len(records) > MAX_RECORDS:
        return _TOO_MANY
    if records is not None:
        return Contents([_read_leniently(raw) for raw in records])
    if _text(outline.source) != SOURCE:
        return _UNKNOWN
    return _bridged_leniently(_text(outline.detail_type), error)


def _read_leniently(raw: msgspec.Raw) -> Record | str | Rejection:
    """The record; or its label if events of that name are ignored, whatever the other fields are."""
    try:
        named = _NAMED.decode(raw)
        sender_of(named.event_source)
        name = native_name(named.event_name)
        if state_of(name):
            return _RECORD.decode(raw)
        return _storage_record(raw) or ignored_label(name) if name in STORAGE_FACTS else ignored_label(name)
    except msgspec.ValidationError as error:
        return Rejection(rejection.MALFORMED_RECORD, str(error))
    except RejectedRecordError as error:
        return error.rejection


def _storage_record(raw: msgspec.Raw) -> Record | None:
    """None: it cannot be read, and is ignored like one that says nothing."""
    try:
        return _RECORD.decode(raw)
    except msgspec.ValidationError:
        return None


def _bridged_leniently(detail_type: str, error: msgspec.ValidationError) -> Contents | Rejection:
    """The label of a detail-type that says nothing about existence; the event is rejected for `error` if it does."""
    if detail_type in {"Object Created", "Object Deleted", ""}:
        return Rejection(rejection.MALFORMED_RECORD, str(error))
    try:
        return Contents([ignored_label(name_of_detail(detail_type, "", ""))])
    except RejectedRecordError as unknown:
        return unknown.rejection


def _text(raw: msgspec.Raw) -> str:
    try:
        return _TEXT.decode(raw)
    except msgspec.DecodeError:
        return ""
