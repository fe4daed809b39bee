"""The things that flow through the line, in the order they come to life.

Message (the queue gave it) → Delivery (what it means) → Batch (what one statement takes) → Receipt (what
became of it). Except for the lease they are frozen, and none may be part of a reference cycle: they are made
by the hundred thousand with the garbage collector's tracking switched off (`gc=False`).
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

State: TypeAlias = Literal["present", "delete_marker", "removed"]
"""What an object version is: there, hidden by a marker, or a tombstone."""

Trigger: TypeAlias = Literal["full", "due", "drain"]
"""Why a batch left: it could take no more, its linger was over, or the line is running dry."""

Verdict: TypeAlias = Literal["stored", "quarantined", "retry_later", "released", "expired"]
"""What became of a message: only the first two may be deleted from the queue.

A *failed* one is to blame itself and comes again after a growing time; a *returned* one is healthy and may be had by
others at once; a *lost* one is no longer ours, so the queue is told nothing.
"""


class Lease(msgspec.Struct, gc=False):
    """The queue's promise to hide what one poll brought, until `expires_at`; it can be renewed.

    It holds receipt handles, never messages, so that it closes no cycle. A handle leaves the set when the
    message is settled; what is left in it, and not lost, is what would have to be handed back. All moments are
    seconds of the event loop's clock.
    """

    queue: str
    expires_at: float
    handles: set[str]
    expired: set[str] = msgspec.field(default_factory=set)
    """Those of `handles` that are no longer ours: others may have them, so nothing more is begun with them."""
    releasing: set[str] = msgspec.field(default_factory=set)
    """Those of `expired` that the queue is being asked to take back: if it does not answer, they are ours again."""
    taken_at: float = -math.inf
    """When the poll was answered."""
    renew_at: float = math.inf
    """When the promise is renewed, should anything of the poll still be here."""
    held_until: float = math.inf
    """When what is still here is handed back, written or not."""
    oldest_sent_at: float = math.inf
    """Unix seconds at which the oldest message was sent that this poll was the first to receive."""
    room_bytes: int = 0
    """Kept for the bodies until the poll is answered."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """Exactly what the queue gave."""

    queue: str
    """URL of the queue."""
    message_id: str
    receipt_handle: str
    body: str
    sent_at: float
    """Unix seconds at which the queue took the message (SentTimestamp)."""
    receive_count: int
    """How often it was received, this time included (ApproximateReceiveCount)."""
    lease: Lease


class ObjectEvent(msgspec.Struct, frozen=True, gc=False):
    """What one record says about one object version: valid, and comparable with its siblings."""

    bucket: str
    key: str
    version_id: str
    """Empty for unversioned buckets and for the `null` version."""
    state: State
    sequencer: str
    """Canonical (events/sequencer.py): upper-case hex digits, compared as "C" text."""
    event_name: str
    event_time: datetime
    """Aware, UTC."""
    size_bytes: int | None
    etag: str | None


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """Why a body, or one record of it, cannot become a row."""

    reason: str
    """One of a short list of words, fit for a metric label."""
    detail: str
    """A sentence for the person who looks into the quarantine."""


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One message and what it means: the unit of acknowledgement, never split."""

    message: Message
    events: tuple[ObjectEvent, ...] = ()
    rejection: Rejection | None = None
    """Set when the body, or at least one record of it, goes to quarantine; `events` are stored all the same."""
    ignored: tuple[str, ...] = ()
    """Event names that say nothing about existence, for the count."""
    derived_sequencers: int = 0
    """How many events got the second of their own time in front of the sequencer."""


class Batch(msgspec.Struct, frozen=True, gc=False):
    """What one statement takes."""

    deliveries: tuple[Delivery, ...]
    rows: tuple[ObjectEvent, ...]
    """One per object version, the newest, in key order."""
    opened_at: float
    """Seconds of the event loop's clock at which the first delivery came."""
    trigger: Trigger


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What became of a message: exactly one for every message received."""

    message: Message
    verdict: Verdict
    reason: str = ""


class BatchAnswer(msgspec.Struct, frozen=True):
    """What the queue says of the entries of one call, by their position in it."""

    done: tuple[int, ...]
    failed: tuple[tuple[int, str], ...] = ()
    """Position and error code."""
