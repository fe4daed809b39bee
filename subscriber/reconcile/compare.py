"""The verdict on one key: what its versions in the bucket and its rows in the index say about each other.

A key that differs is written as a whole: its stack, newest first, is one fact. It does not matter what LastModified
says. What is missing from the stack is a ghost only if absence is proved, and only if its row was there before the
listing began. A key that changed lately is not judged, because the event about it may be under way. Its missing
versions are written all the same: ordered too early, they lose to every event that tells more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final, Literal, TypeAlias

import msgspec

from subscriber.model import IndexedVersion, ListedVersion, ObjectEvent
from subscriber.reconcile.merge import KeyVersions
from subscriber.reconcile.observation import Moment, observed_events, observed_removal

Drift: TypeAlias = Literal["missing", "ghost", "stale"]
"""A version that the index lacks; one that only the index has; one whose content or place in the stack differs."""

Kind: TypeAlias = Literal["agree", "fresh", "missing", "ghost", "stale", "unjudged"]
"""`fresh`: it differs, and is younger than the grace. `unjudged`: the listing cannot show what the index has, or there
are more versions than are held. Of several kinds of drift the first in this order names the key."""

GRACE_SECONDS_AT_LEAST: Final = 120.0
GRACE_ABOVE_LAG_SECONDS: Final = 60.0


class Context(msgspec.Struct, frozen=True):
    """What holds for all keys of one listing or inventory."""

    bucket: str
    moment: Moment
    grace_seconds: float = GRACE_SECONDS_AT_LEAST
    """A key that changed within so many seconds before the listing began, or later, is not judged. The clocks of S3 and
    the database may differ by less than this."""
    is_absence_proved: bool = True
    """False for an inventory: its facts only add rows, or fill columns that are NULL."""
    are_noncurrent_visible: bool = True
    """False for ListObjectsV2, which shows neither noncurrent versions, nor delete markers, nor version ids."""


class Difference(msgspec.Struct, frozen=True):
    """One version that differs."""

    drift: Drift
    version_id: str
    size_bytes: int | None
    """As the bucket has it; of a ghost as the index has it."""
    changed_at: int
    """Unix second: LastModified, or of a ghost the time of its row's event."""


class Verdict(msgspec.Struct, frozen=True):
    """What is to be said and done about one key."""

    kind: Kind
    rows: tuple[ObjectEvent, ...] = ()
    """What makes the index right, in the order of version ids. Of a fresh key only what adds to it."""
    differences: tuple[Difference, ...] = ()
    """Empty unless the key was judged."""


AGREE: Final = Verdict("agree")
FRESH: Final = Verdict("fresh")
UNJUDGED: Final = Verdict("unjudged")

_Rows: TypeAlias = Mapping[str, IndexedVersion]


def default_grace_seconds(lag_seconds: float) -> float:
    """The grace for a fleet whose rows are so late."""
    return max(GRACE_SECONDS_AT_LEAST, lag_seconds + GRACE_ABOVE_LAG_SECONDS)


def judge(versions: KeyVersions, context: Context) -> Verdict:
    """The verdict on one key of the merge join; none on a key with more versions than are held."""
    return compare(versions.listed, versions.indexed, context) if versions.is_whole else UNJUDGED


def compare(listed: Sequence[ListedVersion], indexed: Sequence[IndexedVersion], context: Context) -> Verdict:
    """Compare one key's stack, newest first, with the key's rows, in any order; either may be empty."""
    if listed and not indexed:
        return _all_missing(listed, context)
    rows = {row.version_id: row for row in indexed}
    if not context.are_noncurrent_visible and any(row.version_id and row.state != "removed" for row in indexed):
        return UNJUDGED  # the bucket has versions, so what is listed may be any of them
    seen: dict[str, ListedVersion] = {}
    for version in listed:
        seen.setdefault(version.version_id, version)  # a page may repeat the end of the page before
    # What was removed for good is never brought back.
    stack = [version for version in seen.values() if not _is_gone(rows.get(version.version_id))]
    differences = (*_stack_differences(stack, rows, context), *_ghosts(seen, rows, context))
    if not differences:
        return AGREE
    if _is_fresh(listed, indexed, context):
        adds = any(version.version_id not in rows for version in stack)
        return Verdict("fresh", _written(stack, rows, context)) if adds else FRESH
    ghosts = [each.version_id for each in differences if each.drift == "ghost"]
    written = _written(stack, rows, context) if len(ghosts) < len(differences) else ()
    removed = (observed_removal(context.bucket, indexed[0].key, ghost, context.moment) for ghost in ghosts)
    return Verdict(_kind(differences), tuple(sorted((*written, *removed), key=_version_id)), differences)


def _all_missing(listed: Sequence[ListedVersion], context: Context) -> Verdict:
    """The verdict on a key that the index has no row of: of a backfill, nearly every key."""
    stack = listed
    if len(listed) > 1:
        seen: dict[str, ListedVersion] = {}
        for version in listed:
            seen.setdefault(version.version_id, version)
        stack = [*seen.values()]
    rows = observed_events(context.bucket, stack, context.moment)
    if len(rows) > 1:
        rows = tuple(sorted(rows, key=_version_id))
    young = context.moment.server_time - context.grace_seconds
    for version in listed:  # a loop: it runs once for nearly every key, and a generator costs more than that
        if version.last_modified >= young:
            return Verdict("fresh", rows)
    return Verdict("missing", rows, tuple([_difference("missing", version) for version in stack]))


def confirmed(first: Verdict, second: Verdict) -> Verdict:
    """What is certain after a second look at the same key, later than the first by more than the grace.

    Only what both looks say alike is drift: a version that was written anew, or a row that has changed meanwhile, was
    an event under way. What is missing is written all the same.
    """
    before = frozenset(first.differences)
    differences = tuple(each for each in second.differences if each in before)
    if len(differences) == len(second.differences):
        return second
    ghosts = {each.version_id for each in differences if each.drift == "ghost"}
    adds = any(each.drift == "missing" for each in second.differences)
    is_stack_written = adds or len(ghosts) < len(differences)
    rows = tuple(
        row for row in second.rows if (row.version_id in ghosts if row.state == "removed" else is_stack_written)
    )
    return Verdict(_kind(differences) if differences else "fresh", rows, differences)


def _kind(differences: Sequence[Difference]) -> Kind:
    drifts = {each.drift for each in differences}
    return "missing" if "missing" in drifts else "ghost" if "ghost" in drifts else "stale"


def _version_id(event: ObjectEvent) -> str:
    return event.version_id


def _is_gone(row: IndexedVersion | None) -> bool:
    """Whether the index says that the version was removed, which is final for all but the null version."""
    return row is not None and row.state == "removed" and row.version_id != ""


def _is_fresh(listed: Sequence[ListedVersion], indexed: Sequence[IndexedVersion], context: Context) -> bool:
    """Whether the key changed within the grace, by any sign, or a row is newer than the facts."""
    moment = context.moment
    young = moment.server_time - context.grace_seconds
    # The sequencer counts as well as the time of the write, in case the database's clock is late.
    earliest = f"{max(0, min(moment.second, int(young))):08X}".rstrip("0")
    return any(version.last_modified >= young for version in listed) or any(
        row.ingested_at.timestamp() >= young or (row.sequencer >= earliest and not _is_gone(row)) for row in indexed
    )


def _stack_differences(stack: Sequence[ListedVersion], rows: _Rows, context: Context) -> Iterator[Difference]:
    """Listed versions that the index lacks, or has with another content or in another place."""
    misplaced = _misplaced(stack, rows) if context.is_absence_proved else frozenset()
    for version in stack:
        row = rows.get(version.version_id)
        if row is None or row.state == "removed":
            yield _difference("missing", version)
        elif version.version_id in misplaced or _is_stale(version, row, context):
            yield _difference("stale", version)


def _difference(drift: Drift, version: ListedVersion) -> Difference:
    return Difference(drift, version.version_id, version.size_bytes, version.last_modified)


def _is_stale(version: ListedVersion, row: IndexedVersion, context: Context) -> bool:
    """Whether the listing tells something about the version that the row does not.

    S3 shows neither size nor ETag of a delete marker, and its events do.
    """
    if version.is_marker or row.state == "delete_marker":
        return context.is_absence_proved and version.is_marker != (row.state == "delete_marker")
    return any(
        told is not None and told != held and (held is None or context.is_absence_proved)
        for told, held in ((version.size_bytes, row.size_bytes), (version.etag, row.etag))
    )


def _misplaced(stack: Sequence[ListedVersion], rows: _Rows) -> frozenset[str]:
    """The versions that the view would not put above the next older one of the stack."""
    known = [row for row in (rows.get(version.version_id) for version in stack) if row and row.state != "removed"]
    return frozenset(newer.version_id for newer, older in pairwise(known) if _place(newer) <= _place(older))


def _place(row: IndexedVersion) -> tuple[str, datetime, bool, str, str, int]:
    """What decides between two rows of a key in the view; without the event name, so that a tie counts as wrong."""
    size = -1 if row.size_bytes is None else row.size_bytes
    return row.sequencer, row.event_time, row.state != "present", row.state, row.etag or "", size


def _ghosts(seen: Mapping[str, ListedVersion], rows: _Rows, context: Context) -> Iterator[Difference]:
    """Rows of versions that exist by the index and not by a listing that would show them."""
    if not context.is_absence_proved:
        return
    for row in rows.values():
        is_visible = row.state == "present" or (context.are_noncurrent_visible and row.state == "delete_marker")
        if is_visible and row.version_id not in seen:
            yield Difference("ghost", row.version_id, row.size_bytes, int(row.event_time.timestamp()))


def _written(stack: Sequence[ListedVersion], rows: _Rows, context: Context) -> tuple[ObjectEvent, ...]:
    """The whole stack as events, in the order of version ids."""
    told = [_filled(version, rows.get(version.version_id)) for version in stack]
    return tuple(sorted(observed_events(context.bucket, told, context.moment), key=_version_id))


def _filled(version: ListedVersion, row: IndexedVersion | None) -> ListedVersion:
    """The version with what an inventory does not tell and the row knows, if it is the same content for certain."""
    if version.is_marker or row is None or row.state != "present" or None not in (version.size_bytes, version.etag):
        return version
    is_same = version.version_id != "" or (version.etag is not None and version.etag == row.etag)
    if not is_same:
        return version
    size = row.size_bytes if version.size_bytes is None else version.size_bytes
    return msgspec.structs.replace(version, size_bytes=size, etag=version.etag or row.etag)
