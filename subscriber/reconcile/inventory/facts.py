"""Rows of an inventory as events, one by one: they are not sorted, so that a key's versions are never seen together.

Let M be the second that the inventory's facts are worth: creationTimestamp − 24 h. All that happened before M is in the
rows; what happened later may be. A subscription older than the inventory has sent the events of its own time, and those
of later seconds than a row's win. What remains is the rank of one key's versions, among each other and among versions
that the index has from events:

- A row that **is the latest** was on top of its key at some time after M. So it goes to M, above everything that was
  stored before, whatever LastModified says: a version that an event stored before M is below it, and one that an event
  stored later is above. Two rows of a key can both say so, each true when it was scanned; LastModified decides then,
  as the event time (events/order.py).
- **Any other row** goes to the second of its own LastModified, and at most to just below the latest at M. At M it would
  cover a newer version whose event came between the row's version and M. Versions that only the inventory tells keep
  the order of their times.
- Without LastModified an older version goes below everything. So does a **candidate**, a row of a list of keys: the
  list tells no time, and such a row can only add what no event ever told.

LastModified of a multipart upload is the time of its initiation (S3 user guide, inventory schema), too early and so
harmless for the version itself. Between two older versions of which only the inventory knows, one of them uploaded in
parts across the other, the order may be wrong. It shows only when all versions above both are removed for good, and a
reconcile by listing corrects it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from subscriber.model import ListedVersion, ObjectEvent
from subscriber.reconcile.details import with_details

INVENTORIED: Final = "Observed:Inventory"
"""Event name of rows that an inventory or a list of keys told."""

_TOP = "F" * 8
_FIRST_SECOND = 1
"""Of the Unix time: a sequencer must not be empty, and every event is later."""

_LAST_SECOND = 0xFFFF_FFFE
"""What eight digits hold, below _TOP."""


def inventoried_event(bucket: str, version: ListedVersion, second: int | None) -> ObjectEvent:
    """The event that a row amounts to, which is only to be added: where the index has the version, its row stands.

    Args:
        bucket: The bucket's name.
        version: The row.
        second: Unix second that the inventory's facts are worth; None for a candidate.
    """
    event = ObjectEvent(
        bucket=bucket,
        key=version.key,
        version_id=version.version_id,
        state="delete_marker" if version.is_marker else "present",
        sequencer=sequencer_of_row(version, second),
        event_name=INVENTORIED,
        event_time=datetime.fromtimestamp(version.last_modified, UTC),
        size_bytes=version.size_bytes,
        etag=version.etag,
    )
    return with_details(event, version)


def sequencer_of_row(version: ListedVersion, second: int | None) -> str:
    """The canonical sequencer of a row, by the rules above."""
    at_most = _FIRST_SECOND if second is None else second
    if version.is_latest:
        return f"{at_most:08X}{_TOP}"
    modified = max(0, min(version.last_modified, _LAST_SECOND))
    own = max(_FIRST_SECOND, min(modified, at_most))
    return f"{own:08X}{modified:08X}".rstrip("0")
