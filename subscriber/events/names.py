"""What the name of an event says about an object version: present, delete marker, removed, or nothing.

Native names have no prefix `s3:`; some other stores send it, so it is dropped. EventBridge uses other names
(detail-type, reason, deletion-type), which are converted to native ones, so that rows and metrics have one vocabulary.
The names are those of the S3 API's enum `Event`.

- Any `ObjectCreated:…` is a creation, by AWS's own definition of the family; AWS may add members at any time.
- A removal is recognized only by its full name, since delete marker and tombstone differ.
- An event is ignored only if it is known to say nothing about existence (tags, ACL, restore, transition …). In
  particular `ObjectRestore:Delete` is the end of a temporary copy: the object itself still exists.
- Every other name is rejected, never guessed: the message goes whole to the quarantine, for a release that knows more.
"""

from __future__ import annotations

from typing import Final

from subscriber.events.rejection import UNKNOWN_EVENT, RejectedRecordError, quoted
from subscriber.model import State

TEST_EVENT: Final = "s3:TestEvent"
"""S3 sends it whenever a notification configuration is put; it carries no record."""

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

IGNORED: Final = frozenset(
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
"""Known names of events that say nothing about existence."""

STORAGE_FACTS: Final = frozenset(
    {"LifecycleTransition", "IntelligentTiering", "ObjectRestore:Completed", "ObjectRestore:Delete"}
)
"""Those of them that say how an existing version is stored (events/storage.py); without such data they are ignored."""

IGNORED_FAMILIES: Final = (
    "ObjectAnnotation:",
    "ObjectRestore:",
    "ObjectRetention:",
    "ObjectTagging:",
    "Replication:Operation",
    "ObjectAccessed:",
    "ObjectTransition:",
    "Scanner:",
    "ObjectLifecycle:Transition:",
)
"""Families of which no member says anything about existence: AWS's, then MinIO's reads, transitions and scanner
warnings, then Ceph's transitions. `Replication:` as a whole is none of them: to Ceph `Replication:Create` is a new
object in this zone."""

_CREATED = "ObjectCreated:"
_MAX_NAME_CHARACTERS = 64
"""No name of S3 is longer than 49; the column and its labels stay small."""

_CREATED_BY_REASON: Final = {
    "PutObject": "ObjectCreated:Put",
    "POST Object": "ObjectCreated:Post",
    "CopyObject": "ObjectCreated:Copy",
    "CompleteMultipartUpload": "ObjectCreated:CompleteMultipartUpload",
}
_CREATED_SOMEHOW = "ObjectCreated:*"
"""S3's own wildcard: created, by a request whose EventBridge name is unknown."""
_DELETED_BY_TYPE: Final = {"Permanently Deleted": "Delete", "Delete Marker Created": "DeleteMarkerCreated"}
_BY_LIFECYCLE = "Lifecycle Expiration"
_IGNORED_DETAIL_TYPES: Final = {
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
    return name if name == TEST_EVENT else name.removeprefix("s3:")


def state_of(name: str) -> State | None:
    """The state of the object version after an event of that native name; None if the event is ignored.

    Raises:
        RejectedRecordError: a name that is not known, or a creation whose name is too long or not printable ASCII.
    """
    state = STATES.get(name)
    if state is not None:
        return state
    if name.startswith(_CREATED) and len(name) <= _MAX_NAME_CHARACTERS and _is_plain(name):
        return "present"
    if name in IGNORED or name.startswith(IGNORED_FAMILIES):
        return None
    raise RejectedRecordError(UNKNOWN_EVENT, f"no rule for the event {quoted(name)}")


def ignored_label(name: str) -> str:
    """The metric label of an ignored event: its own name, or its family and `*`."""
    return name if name in IGNORED else next(f"{family}*" for family in IGNORED_FAMILIES if name.startswith(family))


def name_of_detail(detail_type: str, reason: str, deletion_type: str) -> str:
    """The native name for an EventBridge event's detail-type, reason and deletion-type.

    A deletion by lifecycle has the same detail-type as any other and differs only in its reason.

    Raises:
        RejectedRecordError: an unknown detail-type, or a deletion that does not say whether it left a delete marker.
    """
    if detail_type == "Object Created":
        return _CREATED_BY_REASON.get(reason, _CREATED_SOMEHOW)
    if detail_type != "Object Deleted":
        name = _IGNORED_DETAIL_TYPES.get(detail_type)
        if name is None:
            raise RejectedRecordError(UNKNOWN_EVENT, f"no rule for the detail-type {quoted(detail_type)}")
        return name
    kind = _DELETED_BY_TYPE.get(deletion_type)
    if kind is None:
        raise RejectedRecordError(UNKNOWN_EVENT, f"no rule for the deletion-type {quoted(deletion_type)}")
    return f"{'LifecycleExpiration' if reason == _BY_LIFECYCLE else 'ObjectRemoved'}:{kind}"


def _is_plain(name: str) -> bool:
    return name.isascii() and name.isprintable()
