"""The data that flows through the pipeline, in the order in which it is created.

Message (as received) → Delivery (decoded) → Batch (the rows of one statement) → Receipt (the outcome). All but the
lease are frozen. None may be part of a reference cycle: they are created by the hundred thousand, and the garbage
collector does not track them (`gc=False`).
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

State: TypeAlias = Literal["present", "delete_marker", "removed", "unchanged"]
"""State of an object version: it exists, it is a delete marker, or it was removed (a tombstone).

`unchanged` is the state of a StorageFact alone. It is never stored: the table rejects it.
"""

Trigger: TypeAlias = Literal["full", "due", "drain"]
"""Why a batch was closed: it was full, its linger was over, or the pipeline drains."""

Verdict: TypeAlias = Literal["stored", "quarantined", "retry_later", "released", "expired"]
"""Outcome of a message; only a `stored` or `quarantined` one may be deleted from its queue.

A `retry_later` message cannot be stored itself: it stays invisible for a retry delay that grows with each receive.
A `released` message is healthy: it becomes visible at once. An `expired` message is no longer ours: no call is made.
"""

MESSAGES_PER_POLL = 10
"""The most messages that one ReceiveMessage call returns (SQS API reference)."""

ENTRIES_PER_CALL = 10
"""The most entries of one DeleteMessageBatch or ChangeMessageVisibilityBatch call (SQS API reference)."""

IN_FLIGHT_MESSAGES_AT_MOST = 120_000
"""About the most messages of a standard queue that may be in flight (SQS developer guide, "Message quotas")."""

VISIBILITY_SECONDS_AT_MOST = 12 * 3600
"""A message stays invisible no longer after one receive; extending beyond that is an error (SQS API reference)."""

EVENT_BYTES_AT_MOST = 65_536
"""The largest S3 event notification, 64 KB (S3 user guide, "Event message structure")."""

POLL_BYTES = MESSAGES_PER_POLL * EVENT_BYTES_AT_MOST
"""The most bytes of events that one poll of S3 notifications returns."""


class Lease(msgspec.Struct, gc=False):
    """Visibility lease: the messages of one poll stay invisible to other consumers until `expires_at`.

    It holds receipt handles, never messages, so that it is part of no reference cycle. A handle is removed when its
    message is settled; the handles that are left, and not expired, would have to be released at a stop. All times are
    seconds of the event loop's clock.
    """

    queue: str
    expires_at: float
    handles: set[str]
    expired: set[str] = msgspec.field(default_factory=set)
    """Those of `handles` that are no longer ours: another consumer may have received them, so no write begins."""
    releasing: set[str] = msgspec.field(default_factory=set)
    """Those of `expired` whose release is under way: if the call fails, they are ours again."""
    taken_at: float = -math.inf
    """When the answer of the poll arrived."""
    extend_at: float = math.inf
    """When the visibility is extended, if a message of the poll is still held."""
    held_until: float = math.inf
    """When the messages that are still held are released, written or not."""
    oldest_sent_at: float = math.inf
    """When the oldest message of the poll that shows lag was sent."""
    reserved_bytes: int = 0
    """Reserved for the bodies until the answer arrives."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message as SQS delivered it."""

    queue: str
    """URL of the queue."""
    message_id: str
    receipt_handle: str
    body: str
    sent_at: float
    """Unix seconds at which it was sent (SentTimestamp), by our clock."""
    receive_count: int
    """Receives so far, this one included (ApproximateReceiveCount)."""
    lease: Lease


class ObjectEvent(msgspec.Struct, frozen=True, gc=False):
    """What one valid record says about one object version; comparable with other events of that version."""

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


class DetailedEvent(ObjectEvent, frozen=True, gc=False):
    """An event or an observation that says more; what it does not say is None. None of it decides the order."""

    storage_class: str | None = None
    is_multipart: bool | None = None
    checksum_algorithm: str | None = None
    requester: str | None = None
    """Personal data, like the next two: only with SUBSCRIBER_KEEP_REQUESTER."""
    remote_ip: str | None = None
    request_id: str | None = None


class StorageFact(ObjectEvent, frozen=True, gc=False):
    """How a version is stored now: it changes a row that exists, never its content.

    Its state is `unchanged`. Its name decides what it says: of a restored copy only `restored_until`, else only the
    other two.
    """

    storage_class: str | None = None
    access_tier: str | None = None
    """Of INTELLIGENT_TIERING; None: the storage class has none, or nobody named it."""
    restored_until: datetime | None = None
    """Aware, UTC; None: the temporary copy is gone."""

    @property
    def is_about_restore(self) -> bool:
        """Whether it says something about the temporary copy, and nothing about the storage class."""
        return self.event_name.startswith("ObjectRestore:")


class ListedVersion(msgspec.Struct, frozen=True, gc=False):
    """One version or delete marker of a bucket, as a listing or an inventory shows it: a fact without a sequencer."""

    key: str
    version_id: str
    """Empty for the null version, which is the only one of a bucket without versioning."""
    is_marker: bool
    is_latest: bool
    last_modified: int
    """Unix seconds; of a multipart upload the time of its initiation (S3 user guide, inventory schema). It orders
    nothing."""
    size_bytes: int | None
    """None for a delete marker, and where an inventory does not tell."""
    etag: str | None
    """Without quotes; None for a delete marker, and where an inventory does not tell."""
    storage_class: str | None = None
    is_multipart: bool | None = None
    """None where the source does not tell."""
    checksum_algorithm: str | None = None


RankedVersion: TypeAlias = tuple[ListedVersion, str]
"""A version of a listing, and the canonical sequencer that its place in the key's stack gives it."""


class IndexedVersion(msgspec.Struct, frozen=True, gc=False):
    """One row of `object_versions`, as far as a comparison with the bucket needs it."""

    key: str
    version_id: str
    """Empty for the null version."""
    state: State
    sequencer: str
    """Canonical."""
    size_bytes: int | None
    etag: str | None
    event_time: datetime
    """Aware, UTC."""
    ingested_at: datetime
    """Aware; when the row got its present content, by the database's clock."""


class KeyRange(msgspec.Struct, frozen=True, gc=False):
    """The keys k of a bucket with after < k <= upto, by the bytes of UTF-8, as S3 lists them."""

    after: str = ""
    upto: str | None = None
    """None: to the end."""


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """Why decode rejects a body, or one record of it."""

    reason: str
    """One of a short list of words, usable as a metric label."""
    detail: str
    """A sentence for the operator who inspects the quarantine."""


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One decoded message: the unit of acknowledgement, never split."""

    message: Message
    events: tuple[ObjectEvent, ...] = ()
    rejection: Rejection | None = None
    """Set when the body, or at least one of its records, is rejected; the message goes to the quarantine, and `events`
    are stored all the same."""
    ignored: tuple[str, ...] = ()
    """Event names that say nothing about existence; they are only counted."""
    derived_sequencers: int = 0
    """Events whose sequencer got the event's own time as prefix."""
    unknown: tuple[str, ...] = ()
    """Sentences that name what is not known: an event, a detail-type or a sender. For the log only."""


class Batch(msgspec.Struct, frozen=True, gc=False):
    """The deliveries and rows of one statement."""

    deliveries: tuple[Delivery, ...]
    rows: tuple[ObjectEvent, ...]
    """The newest event of each object version, in key order."""
    opened_at: float
    """When the first delivery joined; seconds of the event loop's clock."""
    trigger: Trigger


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """Outcome of a message: exactly one for each received message, except those released unread at a stop."""

    message: Message
    verdict: Verdict
    reason: str = ""


class BatchAnswer(msgspec.Struct, frozen=True):
    """Outcome of each entry of a delete or visibility call, by its position."""

    done: tuple[int, ...]
    failed: tuple[tuple[int, str], ...] = ()
    """Position and error code."""
