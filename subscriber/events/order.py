"""Which of two events on an object version is the newer one, and what is left when all but the newest go.

One total order, the same in the fold, in the upsert's guard and in the view `objects`. S3's sequencer decides; on
AWS equal sequencers are the same event, and the rest of the tuple only makes the order total, so that any order,
duplication and batching of the same events ends in the same table. Text is compared by code point, which is what
PostgreSQL's "C" collation does with UTF-8, and nothing in the tuple is ever NULL.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TypeAlias

from subscriber.model import ObjectEvent

Order: TypeAlias = "tuple[str, datetime, bool, str, str, int, str]"


def order(event: ObjectEvent) -> Order:
    """What events on one object version are ordered by, oldest first.

    Equal orders mean equal events: the tuple holds every field beside the version's identity.
    """
    return (
        event.sequencer,
        event.event_time,
        event.state != "present",
        event.state,
        event.etag or "",
        -1 if event.size_bytes is None else event.size_bytes,
        event.event_name,
    )


def fold(events: Iterable[ObjectEvent]) -> tuple[ObjectEvent, ...]:
    """The newest event of each object version, in the order of (bucket, key, version_id).

    One row per version, because a statement that meets a row twice fails as a whole (21000); in key order,
    because statements that lock rows in one order cannot deadlock.
    """
    newest: dict[tuple[str, str, str], ObjectEvent] = {}
    for event in events:
        version = (event.bucket, event.key, event.version_id)
        held = newest.get(version)
        if held is None or order(event) > order(held):
            newest[version] = event
    return tuple(newest[version] for version in sorted(newest))
