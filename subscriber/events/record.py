"""Decodes one record of a notification into an ObjectEvent, the label of an ignored event, or a rejection.

The structs declare only the fields that are used; msgspec skips all others, so a new minor version of S3's schema
changes nothing here. Values are validated only for events that make a row.
"""

from __future__ import annotations

import functools
from typing import Final, TypeAlias

import msgspec

from subscriber.events import rejection
from subscriber.events.event_time import read_event_time
from subscriber.events.key import (
    LONGEST_ENCODED_KEY,
    MAX_BUCKET_BYTES,
    MAX_ETAG_BYTES,
    MAX_KEY_BYTES,
    MAX_VERSION_ID_BYTES,
    decode_form,
    is_storable,
)
from subscriber.events.names import STATES, STORAGE_FACTS, ignored_label, native_name, state_of
from subscriber.events.rejection import RejectedRecordError, quoted
from subscriber.events.sender import AWS, SENDERS, KeyEncoding, sender_of
from subscriber.events.sequencer import canonical_sequencer
from subscriber.events.storage import Aside, Storage, request_of, storage_of
from subscriber.model import DetailedEvent, ObjectEvent, Rejection, StorageFact

MAX_SIZE_BYTES: Final = 2**63 - 1
"""What a bigint holds; S3's own limit is 50 TB."""
SUPPORTED_MAJOR: Final = "2"
_SUPPORTED_MINOR: Final = "2."
_NULL_VERSION = "null"


class BucketField(msgspec.Struct, frozen=True, gc=False):
    """`s3.bucket`."""

    name: str


class ObjectField(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """`s3.object`. Only the key is always present: removals have no size, tagging has no sequencer."""

    key: str
    size: int | None = None
    etag: str | None = msgspec.field(default=None, name="eTag")
    version_id: str | None = None
    sequencer: str | None = None


class S3Field(msgspec.Struct, frozen=True, gc=False):
    """`s3`."""

    bucket: BucketField
    object: ObjectField


class Record(Aside, frozen=True, gc=False, rename="camel", kw_only=True):
    """An element of `Records`; EventBridge events are converted to it."""

    event_name: str
    event_time: str
    s3: S3Field
    event_source: str = AWS
    """If absent, AWS is assumed, as in records that are written by hand."""
    event_version: str = SUPPORTED_MAJOR
    """If absent, 2 is assumed: every field that is used is checked by itself."""


class Sequenced(msgspec.Struct, frozen=True, gc=False):
    """An event, and whether its own time was put in front of its sequencer."""

    event: ObjectEvent
    is_derived: bool


Meaning: TypeAlias = Sequenced | str | Rejection
"""An event; or the label of an ignored one; or why the record is rejected."""


def read_record(record: Record, *, key_is_encoded: bool, keeps_requester: bool = False) -> Meaning:
    """What `record` means. Raises nothing.

    Args:
        record: as it came.
        key_is_encoded: whether its key is form-encoded, where its sender does that.
        keeps_requester: whether the event tells who made the request, where the record does.
    """
    try:
        meaning = _read(record, key_is_encoded=key_is_encoded)
    except RejectedRecordError as error:
        # A storage fact that cannot be used is ignored like an event that says nothing: no row is missing without it.
        name = native_name(record.event_name)
        return name if name in STORAGE_FACTS and record.event_source in SENDERS else error.rejection
    if keeps_requester and isinstance(meaning, Sequenced) and meaning.event.state != "unchanged":
        return Sequenced(_with_request(meaning.event, record), meaning.is_derived)
    return meaning


def _with_request(event: ObjectEvent, record: Record) -> ObjectEvent:
    requester, remote_ip, request_id = request_of(record)
    if requester is remote_ip is request_id is None:
        return event
    known = msgspec.structs.asdict(event)
    return DetailedEvent(**known, requester=requester, remote_ip=remote_ip, request_id=request_id)


def _read(record: Record, *, key_is_encoded: bool) -> Sequenced | str:
    sender = SENDERS.get(record.event_source) or sender_of(record.event_source)
    name = record.event_name
    state = STATES.get(name) or state_of(name := native_name(name))
    storage = None
    if state is None:
        storage = storage_of(name, record) if name in STORAGE_FACTS else None
        if storage is None:
            return ignored_label(name)
    if not record.event_version.startswith(_SUPPORTED_MINOR) and record.event_version != SUPPORTED_MAJOR:
        raise _unsupported(record.event_version)
    event_time = read_event_time(record.event_time)
    if event_time is None:
        raise RejectedRecordError(rejection.BAD_TIME, f"eventTime {quoted(record.event_time)} is not usable")
    described = record.s3.object
    microsecond = None if sender.is_sequencer_trusted else event_time.microsecond
    sequencer, is_derived = canonical_sequencer(described.sequencer, int(event_time.timestamp()), microsecond)
    event = ObjectEvent(
        bucket=_bucket(record.s3.bucket.name),
        key=_key(described.key, sender.key_encoding if key_is_encoded else "plain"),
        version_id=_version_id(described.version_id),
        state=state or "unchanged",
        sequencer=sequencer,
        event_name=name,
        event_time=event_time,
        size_bytes=_size_bytes(described.size),
        etag=_etag(described.etag),
    )
    return Sequenced(event, is_derived) if storage is None else _storage_fact(event, storage)


def _storage_fact(event: ObjectEvent, storage: Storage) -> Sequenced:
    """Transitions have no sequencer, so that a derived one says nothing about the sender."""
    known = {**msgspec.structs.asdict(event), "size_bytes": None, "etag": None}
    storage_class, access_tier, until = storage
    fact = StorageFact(**known, storage_class=storage_class, access_tier=access_tier, restored_until=until)
    return Sequenced(fact, is_derived=False)


def _unsupported(event_version: str) -> RejectedRecordError:
    detail = f"eventVersion {quoted(event_version)}; only major {SUPPORTED_MAJOR} is known"
    return RejectedRecordError(rejection.UNSUPPORTED_VERSION, detail)


@functools.lru_cache(maxsize=1024)
def _bucket(name: str) -> str:
    if not name or not is_storable(name, MAX_BUCKET_BYTES):
        detail = f"the bucket is empty, longer than {MAX_BUCKET_BYTES} bytes or not storable as text"
        raise RejectedRecordError(rejection.BAD_BUCKET, detail)
    return name  # many events of few buckets: the cache saves the check


def _key(text: str, encoding: KeyEncoding) -> str:
    if encoding == "unknown" and ("%" in text or "+" in text):
        detail = "the key has a % or +, and it is not known whether its sender encodes keys"
        raise RejectedRecordError(rejection.BAD_KEY, detail)
    is_encoded = encoding == "form"
    # A text that is too long to decode to a valid key is not decoded: it may have a megabyte.
    is_short = len(text) <= (LONGEST_ENCODED_KEY if is_encoded else MAX_KEY_BYTES)
    try:
        plain = decode_form(text) if is_short and is_encoded else text
    except UnicodeDecodeError:
        raise RejectedRecordError(rejection.BAD_KEY, "the key's percent-encoded bytes are not UTF-8") from None
    if not plain or not is_short or not is_storable(plain, MAX_KEY_BYTES):
        detail = f"the key is empty, longer than {MAX_KEY_BYTES} bytes or not storable as text"
        raise RejectedRecordError(rejection.BAD_KEY, detail)
    return plain


def _version_id(text: str | None) -> str:
    if text is None or text == _NULL_VERSION:
        return ""
    if not is_storable(text, MAX_VERSION_ID_BYTES):
        detail = f"the versionId is longer than {MAX_VERSION_ID_BYTES} bytes or not storable as text"
        raise RejectedRecordError(rejection.BAD_VERSION_ID, detail)
    return text


def _size_bytes(size: int | None) -> int | None:
    if size is not None and not 0 <= size <= MAX_SIZE_BYTES:
        raise RejectedRecordError(rejection.BAD_SIZE, "the size is negative or above 2^63 - 1")
    return size


def _etag(text: str | None) -> str | None:
    if not text:
        return None
    # S3 sends it without quotes; some gateways keep the quotes of the HTTP header.
    bare = text.strip('"')
    if not is_storable(bare, MAX_ETAG_BYTES):
        detail = f"the eTag is longer than {MAX_ETAG_BYTES} bytes or not storable as text"
        raise RejectedRecordError(rejection.BAD_ETAG, detail)
    return bare or None
