"""The evidence for the history checker: sent messages, the queue's audit log, the tables; and see `commit_log.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from subscriber.model import ObjectEvent

Version: TypeAlias = tuple[str, str, str]
"""Bucket, key and version id: the key of a row."""


class ExpectedMessage(msgspec.Struct, frozen=True, gc=False):
    """One message that was put into the queue, and what must become of it."""

    message_id: str
    events: tuple[ObjectEvent, ...] = ()
    """All events of the message that can be decoded."""
    is_readable: bool = True
    """Whether the whole message can be decoded; otherwise its body must be in the quarantine as well."""
    may_be_rejected: frozenset[Version] = frozenset()
    """Rows that the database may have rejected: they may be missing if the body is in the quarantine."""
    body: bytes | None = None
    """Set where the body may, or must, be in the quarantine."""
    reason: str | None = None
    """The reason with which the quarantine must hold the body; None: any."""


class DeliveryRecord(msgspec.Struct, gc=False):
    """What the queue recorded about one message; times are Unix seconds by this machine's clock."""

    received_at: list[float] = []
    deleted_at: float | None = None
    """Time of the first delete that took effect."""
    number: int = 0
    """Its number among the messages of the queue, from 1."""


class QueueRecord(msgspec.Struct, frozen=True):
    """The SQS emulator's record of all messages, by message id."""

    deliveries: Mapping[str, DeliveryRecord]
    queued: frozenset[str]
    """Messages that are visible, in flight or delayed."""
    dead_letters: frozenset[str]


class Tables(msgspec.Struct, frozen=True):
    """The contents of the database at the end."""

    rows: Mapping[Version, ObjectEvent]
    quarantined: Mapping[str, bytes]
    """Body by message id."""
    reasons: Mapping[str, str] = {}
    """Reason by message id."""


def version_of(event: ObjectEvent) -> Version:
    """The key of the row that an event is about."""
    return (event.bucket, event.key, event.version_id)
