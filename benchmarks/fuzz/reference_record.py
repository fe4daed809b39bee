"""The reference implementation for one record: names, times, keys and sequencers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

_IGNORED = frozenset(
    """ReducedRedundancyLostObject ObjectRestore:Post ObjectRestore:Completed ObjectRestore:Delete
    Replication:OperationFailedReplication Replication:OperationNotTracked Replication:OperationMissedThreshold
    Replication:OperationReplicatedAfterThreshold LifecycleTransition IntelligentTiering ObjectAcl:Put
    ObjectTagging:Put ObjectTagging:Delete ObjectAnnotation:Put ObjectAnnotation:Delete ObjectRetention:Put
    s3:TestEvent""".split()  # noqa: SIM905 - a list of these would be twice as long and say no more
)
_IGNORED_FAMILIES = re.compile(
    r"(Object(?:Annotation|Restore|Retention|Tagging|Accessed|Transition|Lifecycle:Transition)|Scanner):"
    r"|Replication:Operation"
)
SENDERS = {
    "aws:s3": ("form", "sequencer"),
    "ceph:s3": ("plain", "time"),
    "minio:s3": ("form", "time"),
    "noobaa:s3": ("plain", "time"),
    "rustfs:s3": ("form", "time"),
    "scality:s3": ("plain", "time"),
    "sgws:s3": ("unknown", "time"),
}
"""How each sender writes keys, and what orders its events (docs/reference/senders.md)."""
_REMOVALS = {"Delete": "removed", "DeleteMarkerCreated": "delete_marker"}
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})?"
)
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_END = datetime(2106, 1, 1, tzinfo=UTC)
_DAY = 86_400


class RejectedError(Exception):
    """The record cannot be a row."""


class FamilyError(RejectedError):
    """An event whose name is not known to have no effect on the index."""


class UnsureError(Exception):
    """The documentation is ambiguous."""


class ExpectedEvent(NamedTuple):
    """The fields of an event, in the order of the table's columns."""

    bucket: str
    key: str
    version_id: str
    state: str
    sequencer: str
    event_name: str
    event_time: datetime
    size_bytes: int | None
    etag: str | None


def field(holder: object, name: str, kind: type[T]) -> T:
    """A required field of this type.

    Raises:
        RejectedError: the field is missing or of another type.
    """
    value = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(value, kind):
        raise RejectedError
    return value


def state_of(name: str) -> str | None:
    """The state that an event with this native name leaves the object in; None if it has no effect on the index."""
    family, colon, kind = name.partition(":")
    if not colon or family not in {"ObjectCreated", "ObjectRemoved", "LifecycleExpiration"}:
        if name in _IGNORED or _IGNORED_FAMILIES.match(name):
            return None
        raise FamilyError
    if family != "ObjectCreated":
        if kind not in _REMOVALS:
            raise FamilyError
        return _REMOVALS[kind]
    if len(name) > 64 or any(not " " <= character <= "~" for character in name):
        raise FamilyError
    return "present"


def ignored_label(name: str) -> str:
    """The label under which an event without an effect on the index is counted."""
    family = _IGNORED_FAMILIES.match(name)
    return name if name in _IGNORED or not family else f"{family.group()}*"


def event_of(name: str, time: str, fields: Mapping[str, Any], *, encoding: str, order: str) -> ExpectedEvent:
    """The event of a record with this native name, whose sender writes keys and orders events like this.

    Raises:
        RejectedError: the record cannot be a row.
        UnsureError: its time has an unusual format.
    """
    state = state_of(name)
    key, bucket = _text(fields["key"]), _text(fields["bucket"])
    etag = _optional(fields["etag"]).strip('"')
    version = _optional(fields["version"])
    sequencer = fields["sequencer"]
    if not (sequencer is None or isinstance(sequencer, str)):
        raise RejectedError
    size = fields["size"]
    if size is not None and (type(size) is not int or not 0 <= size < 2**63):
        raise RejectedError
    moment = _moment(time)
    return ExpectedEvent(
        bucket=_measured(bucket, 1, 255),
        key=_measured(_decoded(key, encoding), 1, 1024),
        version_id=_measured("" if version == "null" else version, 0, 1024),
        state=str(state),
        sequencer=_timed(sequencer or "", moment) if order == "time" else _canonical(sequencer or "", _second(moment)),
        event_name=name,
        event_time=moment,
        size_bytes=size,
        etag=_measured(etag, 0, 255) or None,
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise RejectedError
    return value


def _optional(value: object) -> str:
    return "" if value is None else _text(value)


def _measured(text: str, least: int, most: int) -> str:
    if "\0" in text or not least <= len(text.encode()) <= most:
        raise RejectedError
    return text


def _decoded(text: str, encoding: str) -> str:
    """Decode form encoding byte by byte; a percent sign without two digits stands for itself."""
    if encoding == "unknown" and set(text) & set("%+"):
        raise RejectedError
    if encoding != "form":
        return text
    plain = bytearray()
    position = 0
    while position < len(text):
        digits = text[position + 1 : position + 3]
        if text[position] == "%" and re.fullmatch("[0-9A-Fa-f]{2}", digits):
            plain.append(int(digits, 16))
            position += 3
        else:
            plain += (" " if text[position] == "+" else text[position]).encode()
            position += 1
    try:
        return plain.decode("utf-8", "strict")
    except UnicodeDecodeError:
        raise RejectedError from None


def _moment(text: str) -> datetime:
    found = _TIME.fullmatch(text)
    if not found:
        raise UnsureError
    *whole, fraction, zone = found.groups()
    year, month, day, hour, minute, second = map(int, whole)
    micro = int((fraction or ".").removeprefix(".").ljust(6, "0"))
    try:
        local = datetime(year, month, day, hour, minute, second, micro, tzinfo=UTC)
        moment = local - _offset(zone or "Z")
    except (ValueError, OverflowError):
        raise RejectedError from None
    if not _FIRST <= moment < _END:
        raise RejectedError
    return moment


def _offset(zone: str) -> timedelta:
    if zone == "Z":
        return timedelta()
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:
        raise UnsureError  # parsers differ about larger values
    away = timedelta(hours=hours, minutes=minutes)
    return away if zone[0] == "+" else -away


def _second(moment: datetime) -> int:
    return int((moment - _FIRST) // timedelta(seconds=1))


def _timed(given: str, moment: datetime) -> str:
    """The second in eight digits, the microsecond in five, then what is given; 72 digits at most."""
    digits = given.upper() if re.fullmatch("[0-9A-Fa-f]{1,64}", given) else ""
    return f"{_second(moment):08X}{moment.microsecond:05X}{digits}"[:72].rstrip("0")


def _canonical(given: str, second: int) -> str:
    """Upper-case digits without trailing zeros, beginning with a second near the event's own."""
    own = f"{second:08X}"
    if not re.fullmatch("[0-9A-Fa-f]{1,64}", given):
        return own.rstrip("0")
    digits = given.upper()
    if re.fullmatch("(00|80).{16}", digits):
        digits = digits[2:]
    seconds_in_digits = int((digits + "00000000")[:8], 16)
    return (digits if abs(seconds_in_digits - second) <= _DAY else own + digits).rstrip("0")
