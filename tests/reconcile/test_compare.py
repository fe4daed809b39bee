"""The verdict on one key, rule by rule."""

from __future__ import annotations

import msgspec
import pytest

from subscriber.events.order import fold, order
from subscriber.model import IndexedVersion, ListedVersion, ObjectEvent
from subscriber.reconcile.compare import (
    AGREE,
    FRESH,
    UNJUDGED,
    Context,
    Difference,
    Verdict,
    compare,
    confirmed,
    default_grace_seconds,
    judge,
)
from subscriber.reconcile.merge import KeyVersions
from subscriber.reconcile.observation import inventory_moment, observed_events, observed_removal
from tests.reconcile.samples import CONTEXT, LONG_AGO, NOW, indexed, listed

NONCURRENT_HIDDEN = msgspec.structs.replace(CONTEXT, are_noncurrent_visible=False)
INVENTORY = Context("lake", inventory_moment(NOW + 86_400), is_absence_proved=False)
"""Of facts that are worth NOW."""
YOUNG = NOW - 60


def whole(*stack: ListedVersion, context: Context = CONTEXT) -> tuple[ObjectEvent, ...]:
    """The stack as rows."""
    return tuple(sorted(observed_events("lake", stack, context.moment), key=lambda event: event.version_id))


def stale(version_id: str = "", size: int | None = 1) -> Difference:
    """A difference of the kind `stale`."""
    return Difference("stale", version_id, size, LONG_AGO)


AGREEING = {
    "nothing on either side": ([], []),
    "one object": ([listed()], [indexed()]),
    "a delete marker, whose ETag only the event tells": (
        [listed("m", marker=True), listed("v", at=LONG_AGO - 9)],
        [msgspec.structs.replace(indexed("m", state="delete_marker"), etag="d41d"), indexed("v", at=LONG_AGO - 9)],
    ),
    "an order that LastModified contradicts": (
        [listed("late", at=LONG_AGO - 9), listed("v", at=LONG_AGO)],
        [indexed("late", at=LONG_AGO), indexed("v", at=LONG_AGO - 9)],
    ),
    "tombstones of versions that are not listed": ([listed("v")], [indexed("v"), indexed("gone", state="removed")]),
    "a tombstone of a version that is listed": ([listed("v")], [indexed("v", state="removed")]),
    "a version that two pages show": (
        [listed("v2"), listed("v1"), listed("v2")],
        [indexed("v2", at=LONG_AGO), indexed("v1", at=LONG_AGO - 1)],
    ),
}


@pytest.mark.parametrize(("stack", "rows"), AGREEING.values(), ids=AGREEING)
def test_agree(stack: list[ListedVersion], rows: list[IndexedVersion]) -> None:
    """Content and order agree: nothing is written."""
    assert compare(stack, rows, CONTEXT) == AGREE


def test_missing() -> None:
    """A version without a row brings the whole stack, because its place is known only beside the others."""
    stack = [listed("v2"), listed("v1", size=5)]
    missing = Difference("missing", "v1", 5, LONG_AGO)
    assert compare(stack, [indexed("v2")], CONTEXT) == Verdict("missing", whole(*stack), (missing,))


def test_missing_null_version() -> None:
    """The null version may come back after its tombstone: the order decides."""
    stack = [listed()]
    verdict = Verdict("missing", whole(*stack), (Difference("missing", "", 1, LONG_AGO),))
    assert compare(stack, [indexed(state="removed")], CONTEXT) == verdict


@pytest.mark.parametrize("version_id", ["", "v"])
def test_ghost(version_id: str) -> None:
    """A row of a version that a complete listing does not show becomes a tombstone; the others stay as they are."""
    rows = [indexed("v2"), indexed(version_id, size=5)]
    tombstone = observed_removal("lake", "k", version_id, CONTEXT.moment)
    verdict = Verdict("ghost", (tombstone,), (Difference("ghost", version_id, 5, LONG_AGO),))
    assert compare([listed("v2")], rows, CONTEXT) == verdict


STALE = {
    "another size": (indexed(size=2), listed()),
    "a size that the row lacks": (msgspec.structs.replace(indexed(), size_bytes=None), listed()),
    "an ETag that the row lacks": (msgspec.structs.replace(indexed(), etag=None), listed()),
    "an object where the row has a delete marker": (indexed(state="delete_marker"), listed()),
    "a delete marker where the row has an object": (indexed(), listed(marker=True)),
}


@pytest.mark.parametrize(("row", "version"), STALE.values(), ids=STALE)
def test_stale_content(row: IndexedVersion, version: ListedVersion) -> None:
    """What the listing tells and the row does not is written."""
    assert compare([version], [row], CONTEXT) == Verdict("stale", whole(version), (stale(size=version.size_bytes),))


def test_stale_order() -> None:
    """Rows with the right content in the wrong order are rewritten, so that the view shows the latest."""
    stack = [listed("v2"), listed("v1")]
    rows = [indexed("v2", at=LONG_AGO - 5), indexed("v1", at=LONG_AGO)]
    assert compare(stack, rows, CONTEXT) == Verdict("stale", whole(*stack), (stale("v2"),))


def test_several_kinds_at_once() -> None:
    """All that differs is named, everything is written in the order of version ids, and `missing` names the key."""
    stack = [listed("b"), listed("c", size=9)]
    rows = [indexed("c", size=8), indexed("a")]
    tombstone = observed_removal("lake", "k", "a", CONTEXT.moment)
    verdict = compare(stack, rows, CONTEXT)
    assert verdict.kind == "missing"
    assert verdict.rows == (tombstone, *whole(*stack))
    assert [each.drift for each in verdict.differences] == ["missing", "stale", "ghost"]


FRESH_ROWS = {
    "written lately": indexed(size=2, ingested_at=YOUNG),
    "by an event of lately, says S3's clock": indexed(size=2, at=YOUNG, ingested_at=LONG_AGO),
    "newer than the listing": indexed(size=2, at=NOW + 5),
    "lately removed": indexed(state="removed", ingested_at=YOUNG),
}


@pytest.mark.parametrize("row", FRESH_ROWS.values(), ids=FRESH_ROWS)
@pytest.mark.parametrize("stack", [[], [listed()]], ids=["absent", "listed"])
def test_fresh_rows(row: IndexedVersion, stack: list[ListedVersion]) -> None:
    """A key with a young row is not judged: neither reported, nor given a tombstone, nor rewritten."""
    assert compare(stack, [row], CONTEXT) == (AGREE if row.state == "removed" and not stack else FRESH)


def test_fresh_by_last_modified() -> None:
    """A key that was written lately by its listing is not judged, but what is missing is added."""
    young = listed(at=YOUNG)
    assert compare([young], [indexed(size=2)], CONTEXT) == FRESH
    assert compare([young], [], CONTEXT) == Verdict("fresh", whole(young))


def test_a_grace_of_any_length() -> None:
    """What is older than the grace is judged."""
    short = msgspec.structs.replace(CONTEXT, grace_seconds=30)
    assert compare([], [indexed(at=YOUNG)], CONTEXT) == FRESH
    assert compare([], [indexed(at=YOUNG)], short).kind == "ghost"
    assert [default_grace_seconds(lag) for lag in (0.0, 60.0, 61.0)] == [120.0, 120.0, 121.0]


def test_a_final_tombstone_makes_no_key_fresh_for_ever() -> None:
    """The sequencer of a version that was removed for good is no time."""
    gone = msgspec.structs.replace(indexed("gone", state="removed"), sequencer="FFFFFFFF")
    assert compare([], [gone, indexed("v")], CONTEXT).kind == "ghost"


def test_adding_to_a_fresh_key_keeps_the_newest_on_top() -> None:
    """The counterexample to adding only what is missing: of a fresh key, the old version would be shown.

    The key's newest version has a row with its event's sequencer. The oldest one never had an event. Alone at
    T − margin, it would be above the newest one.
    """
    stack = [listed("new", size=2), listed("old")]
    rows = [indexed("new", size=2, ingested_at=YOUNG)]
    verdict = compare(stack, rows, CONTEXT)
    assert verdict == Verdict("fresh", whole(*stack))
    held = ObjectEvent("lake", "k", "new", "present", rows[0].sequencer, "ObjectCreated:Put", rows[0].event_time, 2, "")
    after = fold([held, *verdict.rows])
    assert max(after, key=order).version_id == "new"
    (alone,) = (row for row in verdict.rows if row.version_id == "old")
    assert order(alone) > order(held)


def test_a_listing_without_versions() -> None:
    """ListObjectsV2 shows no delete marker, and proves nothing where the index knows versions."""
    assert compare([listed()], [indexed(), indexed("gone", state="removed")], NONCURRENT_HIDDEN) == AGREE
    assert compare([listed()], [indexed("v")], NONCURRENT_HIDDEN) == UNJUDGED
    assert compare([], [indexed(state="delete_marker")], NONCURRENT_HIDDEN) == AGREE
    assert compare([], [indexed()], NONCURRENT_HIDDEN).kind == "ghost"


def test_an_inventory_only_adds() -> None:
    """It proves no absence, no order and no other content; it adds versions and fills what is NULL."""
    stack = [listed("v2", size=2), listed("v1")]
    rows = [indexed("v2", at=LONG_AGO - 5, size=3), indexed("v1"), indexed("ghost")]
    assert compare(stack, rows, INVENTORY) == AGREE
    assert compare(stack, rows[1:], INVENTORY).rows == whole(*stack, context=INVENTORY)
    unfilled = msgspec.structs.replace(indexed("v1"), etag=None)
    assert compare(stack[1:], [unfilled], INVENTORY).rows == whole(*stack[1:], context=INVENTORY)


def test_what_an_inventory_does_not_tell_is_kept() -> None:
    """Size and ETag of a row survive where the version is certainly the same; another null version is not."""
    bare = msgspec.structs.replace(listed("v1", size=None), etag=None)
    added = listed("v2", size=7)
    verdict = compare([added, bare], [indexed("v1", size=4)], INVENTORY)
    assert [(row.version_id, row.size_bytes) for row in verdict.rows] == [("v1", 4), ("v2", 7)]
    null = msgspec.structs.replace(listed(size=4), etag=None)
    verdict = compare([added, null], [indexed(size=4)], INVENTORY)
    assert [(row.version_id, row.size_bytes, row.etag) for row in verdict.rows] == [
        ("", 4, None),
        ("v2", 7, f"{7:032x}"),
    ]


def test_a_key_that_is_not_whole_is_not_judged() -> None:
    """Part of a stack proves neither absence nor order."""
    rows = (indexed("v"),)
    assert judge(KeyVersions("k", (), rows), CONTEXT).kind == "ghost"
    assert judge(KeyVersions("k", (), rows, is_whole=False), CONTEXT) == UNJUDGED


def test_a_second_look_keeps_what_both_say() -> None:
    """Drift that is the same twice stays whole; without drift, or of a fresh key, the second verdict stands."""
    stack, rows = [listed("b"), listed("c", size=9)], [indexed("c", size=8), indexed("a")]
    verdict = compare(stack, rows, CONTEXT)
    assert confirmed(verdict, verdict) == verdict
    assert confirmed(verdict, AGREE) == AGREE
    assert confirmed(verdict, FRESH) == FRESH


def test_a_second_look_drops_what_has_changed() -> None:
    """A ghost whose row has changed, and content that was written anew, are not drift; a missing row is written."""
    first = compare([listed(size=2)], [indexed()], CONTEXT)
    second = compare([listed(size=3)], [indexed()], CONTEXT)
    assert (first.kind, second.kind, confirmed(first, second)) == ("stale", "stale", FRESH)
    before = compare([], [indexed(at=LONG_AGO - 9)], CONTEXT)
    again = compare([], [indexed()], CONTEXT)
    assert (before.kind, again.kind, confirmed(before, again)) == ("ghost", "ghost", FRESH)
    ghost, added = indexed("gone"), listed("added")
    later = compare([added], [ghost], CONTEXT)
    drift = confirmed(compare([], [ghost], CONTEXT), later)
    assert (later.kind, drift) == ("missing", Verdict("ghost", later.rows, later.differences[1:]))
    unseen = confirmed(AGREE, later)
    assert unseen == Verdict("fresh", whole(added))
