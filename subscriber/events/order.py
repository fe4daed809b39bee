"""The total order of events on an object version, and the fold that keeps the newest of each version.

The order is the same in the fold, in the upsert's guard and in the view `objects`. S3's sequencer decides. On AWS equal
sequencers are the same event; the rest of the tuple only makes the order total, so that any order, duplication and
batching of the same events ends in the same table. Text is compared by code point, as PostgreSQL's "C" collation does
with UTF-8, and nothing in the tuple is ever NULL.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeAlias

from subscriber.model import ObjectEvent, StorageFact

_NEVER = datetime.min.replace(tzinfo=UTC)

Order: TypeAlias = "tuple[str, datetime, bool, str, str, int, str]"


def order(event: ObjectEvent) -> Order:
    """The sort key of events on one object version, oldest first.

    Equal keys mean equal events: the tuple holds every field except the version's identity.
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

    One row per version, because a statement that affects a row twice fails as a whole (21000); in key order, because
    statements that lock rows in the same order cannot deadlock. After them come the newest storage facts, in the same
    order: of each version at most one about its storage class and one about its restored copy.
    """
    newest: dict[tuple[str, str, str], ObjectEvent] = {}
    facts: dict[tuple[str, str, str, bool], StorageFact] = {}
    for event in events:
        version = (event.bucket, event.key, event.version_id)
        if event.state == "unchanged" and isinstance(event, StorageFact):
            about = (*version, event.is_about_restore)
            known = facts.get(about)
            if known is None or fact_order(event) > fact_order(known):
                facts[about] = event
            continue
        held = newest.get(version)
        if held is None or order(event) > order(held):
            newest[version] = event
    rows = tuple(newest[version] for version in sorted(newest))
    return rows + tuple(facts[about] for about in sorted(facts)) if facts else rows


def fact_order(fact: StorageFact) -> tuple[str, str, str, bool, datetime]:
    """The sort key of storage facts of one kind, oldest first; storage_facts.sql has the same."""
    until = fact.restored_until
    return fact.sequencer, fact.storage_class or "", fact.access_tier or "", until is not None, until or _NEVER
