"""What the name of an event says about an object version: there, hidden, removed, or nothing.

Native names come without the prefix `s3:`; some other stores send it, so it is dropped. EventBridge tells the same
in other words (detail-type, reason, deletion-type), which are put back into native names: one vocabulary for
rows and metrics. The names are those of the S3 API's enum `Event`.

- Any `ObjectCreated:…` is a creation, by AWS's own definition of the family; new members may come unannounced.
- A removal is understood by its full name only, since marker and tombstone differ: an unknown member of
  `ObjectRemoved:` or `LifecycleExpiration:` is refused, never guessed and never deleted unseen.
- Everything else says nothing about existence (tags, ACL, restore, transition, replication …). In particular
  `ObjectRestore:Delete` is the end of a temporary copy: the object itself is still there.
"""

from __future__ import annotations

from typing import Final

from subscriber.events.rejection import UNKNOWN_EVENT, RejectedRecordError, quoted
from subscriber.model import State

TEST_EVENT: Final = "s3:TestEvent"
"""Sent whenever a notification configuration is put; carries no record."""
UNKNOWN: Final = "unknown"
"""The one label under which unknown names are counted."""

STATES: Final[dict[str, State]] = {
    "ObjectCreated:Put": "present",
    "ObjectCreated:Post": "present",
    "ObjectCreated:Copy": "present",
    "ObjectCreated:CompleteMultipartUpload": "present",
    "ObjectRemoved:Delete": "removed",
    "ObjectRemoved:DeleteMarkerCreated": "delete_marker",
    "LifecycleExpiration:Delete": "removed",
    "LifecycleExpiration:DeleteMarkerCreated": "delete_marker",
}

SILENT: Final = frozenset(
    {
        "ReducedRedundancyLostObject",
        "ObjectRestore:Post",
        "ObjectRestore:Completed",
        "ObjectRestore:Delete",
        "Replication:OperationFailedReplication",
        "Replication:OperationNotTracked",
        "Replication:OperationMissedThreshold",
        "Replication:OperationReplicatedAfterThreshold",
        "LifecycleTransition",
        "IntelligentTiering",
        "ObjectAcl:Put",
        "ObjectTagging:Put",
        "ObjectTagging:Delete",
        "ObjectAnnotation:Put",
        "ObjectAnnotation:Delete",
        "ObjectRetention:Put",
        TEST_EVENT,
    }
)
"""Known names that say nothing about existence."""

_CREATED = "ObjectCreated:"
_REMOVED = ("ObjectRemoved:", "LifecycleExpiration:")
_MAX_NAME_CHARACTERS = 64
"""No name of S3 is longer than 49; the column and its labels stay small."""

_CREATED_BY_REASON: Final = {
    "PutObject": "ObjectCreated:Put",
    "POST Object": "ObjectCreated:Post",
    "CopyObject": "ObjectCreated:Copy",
    "CompleteMultipartUpload": "ObjectCreated:CompleteMultipartUpload",
}
_CREATED_SOMEHOW = "ObjectCreated:*"
"""S3's own wildcard: created, by a request that EventBridge names in a way we do not know."""
_DELETED_BY_TYPE: Final = {"Permanently Deleted": "Delete", "Delete Marker Created": "DeleteMarkerCreated"}
_BY_LIFECYCLE = "Lifecycle Expiration"
_SILENT_DETAIL_TYPES: Final = {
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


def native_name(name: str) -> str:
    """The name as AWS writes it in a record, without the prefix some stores put before it."""
    return name.removeprefix("s3:")


def state_of(name: str) -> State | None:
    """The state a native name leaves an object version in; None where it says nothing about existence.

    Raises:
        RejectedRecordError: a removal, or a creation, under a name that cannot be read.
    """
    state = STATES.get(name)
    if state is not None:
        return state
    if name.startswith(_CREATED) and len(name) <= _MAX_NAME_CHARACTERS and _is_plain(name):
        return "present"
    if name.startswith((_CREATED, *_REMOVED)):
        raise RejectedRecordError(UNKNOWN_EVENT, f"no rule for the event {quoted(name)}")
    return None


def label_of(name: str) -> str:
    """The name under which an event that says nothing is counted: its own, or `unknown`."""
    return name if name in SILENT else UNKNOWN


def name_of_detail(detail_type: str, reason: str, deletion_type: str) -> str:
    """The native name of what EventBridge tells with detail-type, reason and deletion-type.

    A lifecycle deletion has the same detail-type as any other; only its reason tells.

    Raises:
        RejectedRecordError: a deletion that does not say whether it left a marker.
    """
    if detail_type == "Object Created":
        return _CREATED_BY_REASON.get(reason, _CREATED_SOMEHOW)
    if detail_type != "Object Deleted":
        return _SILENT_DETAIL_TYPES.get(detail_type, UNKNOWN)
    kind = _DELETED_BY_TYPE.get(deletion_type)
    if kind is None:
        raise RejectedRecordError(UNKNOWN_EVENT, f"no rule for the deletion-type {quoted(deletion_type)}")
    return f"{'LifecycleExpiration' if reason == _BY_LIFECYCLE else 'ObjectRemoved'}:{kind}"


def _is_plain(name: str) -> bool:
    return name.isascii() and name.isprintable()
