"""A slow and simple reference implementation of decode.

It shares no code with the daemon. It parses JSON with the standard library and follows AWS's documentation field by
field (S3 user guide, "Event message structure", "Event notification types and destinations" and "EventBridge event
message structure"; SNS developer guide, "Parsing message formats"). Only the limits and the canonical sequencer are
ours: docs/explanation/security.md describes them.

Where the documentation is ambiguous (a name twice in one object, an unusual time format, nesting beyond Python's
recursion limit) the outcome is `unsure`, and nothing is compared.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal, NamedTuple, TypeAlias

from benchmarks.fuzz.reference_record import (
    SENDERS,
    ExpectedEvent,
    FamilyError,
    RejectedError,
    UnsureError,
    event_of,
    field,
    ignored_label,
    state_of,
)

RecordOutcome: TypeAlias = Literal["rejected", "unsure"]

MAX_RECORDS = 10_000
_SURROGATE = re.compile("[\ud800-\udfff]")
_IGNORED_DETAIL_TYPES = {
    "Object Restore Initiated": "ObjectRestore:Post",
    "Object Restore Completed": "ObjectRestore:Completed",
    "Object Restore Expired": "ObjectRestore:Delete",
    "Object Storage Class Changed": "LifecycleTransition",
    "Object Access Tier Changed": "IntelligentTiering",
    "Object ACL Updated": "ObjectAcl:Put",
    "Object Tags Added": "ObjectTagging:Put",
    "Object Tags Deleted": "ObjectTagging:Delete",
    "Object Retention Updated": "ObjectRetention:Put",
}
_CREATED_BY = {
    "PutObject": "Put",
    "POST Object": "Post",
    "CopyObject": "Copy",
    "CompleteMultipartUpload": "CompleteMultipartUpload",
}


class Meaning(NamedTuple):
    """The meaning of one record, or of a whole body."""

    outcome: RecordOutcome | None
    event: ExpectedEvent | None = None
    label: str = ""
    """The label of an event without an effect on the index."""


REJECTED = Meaning("rejected")
UNSURE = Meaning("unsure")


class _Fraction:
    """A number with a fraction or an exponent, which is never a size."""


class _Ambiguous(Exception):  # noqa: N818 - not a failure: parsers may differ
    """An object has one name twice."""


def reference_meanings(text: str) -> list[Meaning]:
    """The meaning of each record of a body, in order; a body without records has one meaning."""
    return _reading(text, is_wrapped=False)


def _reading(text: str, *, is_wrapped: bool) -> list[Meaning]:
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_float=lambda _: _Fraction(),
            parse_int=_whole,
        )
    except (_Ambiguous, RecursionError):
        return [UNSURE]
    except ValueError:
        return [REJECTED]
    if not isinstance(value, dict) or _has_lone_surrogate(value):
        return [REJECTED]
    return _records(value, is_wrapped=is_wrapped)


def _records(body: dict[str, Any], *, is_wrapped: bool) -> list[Meaning]:
    if "Records" in body:
        records = body["Records"]
        if not isinstance(records, list) or len(records) > MAX_RECORDS:
            return [REJECTED]
        return [_native(record) for record in records]
    if body.get("Type") == "Notification" and isinstance(body.get("Message"), str):
        return [REJECTED] if is_wrapped else _reading(body["Message"], is_wrapped=True)
    if body.get("Event") == "s3:TestEvent":
        return [Meaning(None, label="s3:TestEvent")]
    return [_bridged(body)] if body.get("source") == "aws.s3" else [REJECTED]


def _native(record: object) -> Meaning:
    try:
        sender = field(record, "eventSource", str) if isinstance(record, dict) and "eventSource" in record else "aws:s3"
        if sender not in SENDERS:
            return REJECTED
        name = field(record, "eventName", str)
        name = name if name == "s3:TestEvent" else name.removeprefix("s3:")
        if state_of(name) is None:
            return Meaning(None, label=ignored_label(name))
        if isinstance(record, dict) and "eventVersion" in record:
            version = field(record, "eventVersion", str)
            if version.split(".")[0] != "2":
                return REJECTED
        s3 = field(record, "s3", dict)
        described = field(s3, "object", dict)
        bucket = field(field(s3, "bucket", dict), "name", str)
        fields = {name: described.get(name) for name in ("key", "size", "sequencer")}
        fields |= {"etag": described.get("eTag"), "version": described.get("versionId"), "bucket": bucket}
        encoding, order = SENDERS[sender]
        return Meaning(None, event_of(name, field(record, "eventTime", str), fields, encoding=encoding, order=order))
    except (RejectedError, FamilyError):
        return REJECTED
    except UnsureError:
        return UNSURE


def _bridged(body: dict[str, Any]) -> Meaning:
    try:
        kind = field(body, "detail-type", str)
        if kind not in {"Object Created", "Object Deleted"}:
            return Meaning(None, label=_IGNORED_DETAIL_TYPES[kind]) if kind in _IGNORED_DETAIL_TYPES else REJECTED
        detail = field(body, "detail", dict)
        described = field(detail, "object", dict)
        bucket = field(field(detail, "bucket", dict), "name", str)
        fields = {name: described.get(name) for name in ("key", "size", "sequencer", "etag")}
        fields |= {"version": described.get("version-id"), "bucket": bucket}
        name = _bridged_name(kind, detail)
        return Meaning(None, event_of(name, field(body, "time", str), fields, encoding="plain", order="sequencer"))
    except (RejectedError, FamilyError):
        return REJECTED
    except UnsureError:
        return UNSURE


def _bridged_name(kind: str, detail: dict[str, Any]) -> str:
    reason = field(detail, "reason", str) if "reason" in detail else ""
    deletion = field(detail, "deletion-type", str) if "deletion-type" in detail else ""
    if kind == "Object Created":
        return f"ObjectCreated:{_CREATED_BY.get(reason, '*')}"
    family = "LifecycleExpiration" if reason == "Lifecycle Expiration" else "ObjectRemoved"
    if deletion == "Permanently Deleted":
        return f"{family}:Delete"
    if deletion == "Delete Marker Created":
        return f"{family}:DeleteMarkerCreated"
    raise RejectedError


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) < len(pairs):
        raise _Ambiguous
    return named


def _no_constant(word: str) -> None:
    raise ValueError(word)


def _whole(digits: str) -> int | _Fraction:
    return int(digits) if len(digits) < 1_000 else _Fraction()


def _has_lone_surrogate(value: object) -> bool:
    if isinstance(value, str):
        return _SURROGATE.search(value) is not None
    if isinstance(value, dict):
        return any(_has_lone_surrogate(name) or _has_lone_surrogate(each) for name, each in value.items())
    return isinstance(value, list) and any(map(_has_lone_surrogate, value))
