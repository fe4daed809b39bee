"""What the witnesses of a history say: the load, the queue and the tables. The fourth is `commit_log.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from subscriber.model import ObjectEvent

Version: TypeAlias = tuple[str, str, str]
"""Bucket, key and version id: a row."""


class ExpectedMessage(msgspec.Struct, frozen=True, gc=False):
    """One message that was put into the queue, and what must become of it."""

    message_id: str
    events: tuple[ObjectEvent, ...] = ()
    """All of it that can be read."""
    is_readable: bool = True
    """Whether that is the whole message; where not, its body must end in the quarantine besides."""
    refusable: frozenset[Version] = frozenset()
    """Of which rows the database may have refused: these may be missing where the body is in the quarantine."""
    body: bytes | None = None
    """Set where it may, or must, end in the quarantine."""


class Passage(msgspec.Struct, gc=False):
    """What the queue saw of one message; moments are Unix seconds by this machine's clock."""

    received_at: list[float] = []
    deleted_at: float | None = None
    """Of the first delete that took effect."""
    number: int = 0
    """The how-manieth message of the queue it is, from 1."""


class QueueRecord(msgspec.Struct, frozen=True):
    """What the queue server says, by message id."""

    passages: Mapping[str, Passage]
    queued: frozenset[str]
    """Still there: visible, in flight or delayed."""
    dead_letters: frozenset[str]


class Tables(msgspec.Struct, frozen=True):
    """What the database holds in the end."""

    rows: Mapping[Version, ObjectEvent]
    quarantined: Mapping[str, bytes]
    """Body by message id."""


def version_of(event: ObjectEvent) -> Version:
    """The row an event is about."""
    return (event.bucket, event.key, event.version_id)
