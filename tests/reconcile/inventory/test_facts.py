"""Facts of an unsorted inventory and events, in any order, end in the bucket's state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import get_args

import pytest

from subscriber.events.order import fold, order
from subscriber.model import ListedVersion, ObjectEvent
from subscriber.reconcile.inventory.facts import inventoried_event, sequencer_of_row
from testkit.workload.bucket import ObjectRow, SimulatedBucket, Version, Versioning
from testkit.workload.notifications import body_of
from testkit.workload.random_walk import Action, perform
from tests.events.samples import decoded

KEY = "k"
M = 1_700_000_000

SEEDS = 400
"""Three times as many as find each rule that is left out."""

_ACTIONS: Sequence[Action] = ("put", "put", "multipart", "delete", "delete_version", "undelete", "expire_version")


class Scanned:
    """A bucket whose versions are scanned while it changes.

    A row is what the scan saw of one version at one moment, so that two rows of a key need not fit together.
    """

    def __init__(self, versioning: Versioning, seed: int) -> None:
        self.random = Random(seed)
        self.bucket = SimulatedBucket("lake", self.random, versioning=versioning)
        self.rows: dict[tuple[str, str], ListedVersion] = {}
        self._modified: dict[tuple[str, str], int] = {}

    @property
    def second(self) -> int:
        """The second of the bucket's last change."""
        return int(self.bucket.history[-1].sequencer[2:10], 16) if self.bucket.history else M

    def act(self, *, parts_take_seconds: int = 0) -> None:
        """Up to three changes of one key, a second or more apart; uploads in parts begin before they are completed.

        They are few, so that often nothing is stored after the inventory that would hide a wrong rank below it.
        """
        for _ in range(self.random.randrange(4)):
            action = self.random.choice(_ACTIONS)
            before = len(self.bucket.history)
            self.bucket.pass_time(1)
            perform(self.bucket, action, KEY, self.random)
            for emission in self.bucket.history[before:]:
                begun = self.random.randint(0, parts_take_seconds) if action == "multipart" else 0
                self._modified[KEY, _id(emission.version_id)] = self.second - begun

    def scan(self) -> None:
        """See half of the versions that exist now, and all that were not seen before."""
        for key, stack in self.bucket._stacks.items():
            for version in stack:
                if (key, version.version_id) not in self.rows or self.random.random() < 0.5:
                    self.rows[key, version.version_id] = self._row(key, version, is_latest=version is stack[-1])

    def _row(self, key: str, version: Version, *, is_latest: bool) -> ListedVersion:
        modified = self._modified[key, version.version_id]
        size = None if version.is_marker else version.size_bytes
        etag = None if version.is_marker else version.etag
        return ListedVersion(key, version.version_id, version.is_marker, is_latest, modified, size, etag)


@pytest.mark.parametrize("adds_only", [True, False])
@pytest.mark.parametrize("versioning", get_args(Versioning))
def test_inventory_and_events_end_in_the_state_of_the_bucket(*, adds_only: bool, versioning: Versioning) -> None:
    """In any order, facts and the events since the subscription give the bucket's current objects.

    Rows are scanned at different moments, and some versions were stored before the subscription. It does not matter
    whether a fact replaces an older row or only adds a missing one.
    """
    for seed in range(SEEDS):
        scanned = Scanned("enabled" if versioning == "suspended" else versioning, seed)
        scanned.act()
        if versioning == "suspended":
            scanned.bucket.suspend_versioning()
        scanned.bucket.pass_time(2)
        subscribed = len(scanned.bucket.history)
        scanned.act(parts_take_seconds=40)
        worth = scanned.second + 1
        scanned.bucket.pass_time(3)
        scanned.scan()
        scanned.act(parts_take_seconds=40)
        scanned.scan()
        scanned.act(parts_take_seconds=40)

        facts = [inventoried_event("lake", row, worth) for row in scanned.rows.values()]
        events = [event for each in scanned.bucket.history[subscribed:] for event in decoded(body_of(each)).events]
        rows = _stored(facts, events, scanned.random, adds_only=adds_only)
        assert _objects(rows) == scanned.bucket.expected_objects(), f"seed {seed}"


@pytest.mark.parametrize("versioning", get_args(Versioning))
def test_an_inventory_alone_gives_the_current_objects(versioning: Versioning) -> None:
    """Without any event the latest version of each key is on top, uploads in parts across others included."""
    for seed in range(SEEDS):
        scanned = Scanned(versioning, seed)
        scanned.act(parts_take_seconds=40)
        scanned.act(parts_take_seconds=40)
        scanned.scan()
        facts = [inventoried_event("lake", row, scanned.second + 1) for row in scanned.rows.values()]
        assert _objects(fold(facts)) == scanned.bucket.expected_objects(), f"seed {seed}"


def test_the_latest_is_above_versions_with_a_later_time() -> None:
    """An upload in parts that was begun first and completed last is on top, though its LastModified is older."""
    parts = _version("parts", M - 1000, is_latest=True)
    put = _version("put", M - 500, is_latest=False)

    assert sequencer_of_row(parts, M) > sequencer_of_row(put, M)


@pytest.mark.parametrize("modified", [M - 100, M, M + 100, 2**40, 0, -5])
def test_no_older_version_reaches_the_latest(modified: int) -> None:
    """Whatever time an older version has, it stays below the latest, and no row is worth more than the inventory."""
    latest = sequencer_of_row(_version("top", M - 500, is_latest=True), M)

    assert sequencer_of_row(_version("old", modified, is_latest=False), M) < latest
    assert latest < f"{M + 1:08X}"


def test_an_older_version_stays_below_an_event_between_it_and_the_inventory() -> None:
    """A version that an event stored before the inventory's second covers the older one that only the inventory has."""
    row = _version("old", M - 5000, is_latest=False)

    assert sequencer_of_row(row, M) < f"{M - 4000:08X}00000001"


def test_versions_without_a_time_go_below_everything() -> None:
    """An older version without LastModified, and each candidate of a list, lose to every event."""
    unknown = sequencer_of_row(_version("v", 0, is_latest=False), M)
    candidates = [sequencer_of_row(_version("v", M, is_latest=latest), None) for latest in (False, True)]

    assert unknown == "00000001"
    assert all("" < each < "00000002" for each in (unknown, *candidates))
    assert candidates[0] < candidates[1]


def test_the_event_tells_what_the_row_tells() -> None:
    """All fields of a row and of a delete marker are those of its event; the time is LastModified, for readers."""
    row = _version("v", M - 9, is_latest=True)
    marker = ListedVersion("k", "m", is_marker=True, is_latest=False, last_modified=M, size_bytes=None, etag=None)

    event = inventoried_event("lake", row, M)
    assert (event.bucket, event.key, event.version_id, event.state) == ("lake", "k", "v", "present")
    assert (event.size_bytes, event.etag, event.event_name) == (7, "e", "Observed:Inventory")
    assert event.event_time.timestamp() == M - 9
    assert inventoried_event("lake", marker, M).state == "delete_marker"


def _version(version_id: str, modified: int, *, is_latest: bool) -> ListedVersion:
    return ListedVersion("k", version_id, False, is_latest, modified, 7, "e")


def _stored(
    facts: list[ObjectEvent], events: list[ObjectEvent], random: Random, *, adds_only: bool
) -> Iterable[ObjectEvent]:
    """The rows after all writes, in some order."""
    writes = facts + events
    random.shuffle(writes)
    if not adds_only:
        return fold(writes)
    rows: dict[tuple[str, str], ObjectEvent] = {}
    for write in writes:
        version = (write.key, write.version_id)
        held = rows.get(version)
        if held is None or (write.event_name != "Observed:Inventory" and order(write) > order(held)):
            rows[version] = write
    return rows.values()


def _objects(rows: Iterable[ObjectEvent]) -> list[ObjectRow]:
    """What the view `objects` shows: of each key the newest row that is not removed, if it is present."""
    newest: dict[str, ObjectEvent] = {}
    for row in rows:
        held = newest.get(row.key)
        if row.state != "removed" and (held is None or order(row) > order(held)):
            newest[row.key] = row
    return [
        ObjectRow(row.bucket, key, row.version_id, row.size_bytes, row.etag)
        for key, row in sorted(newest.items())
        if row.state == "present"
    ]


def _id(emitted: str | None) -> str:
    return "" if emitted in {None, "null"} else str(emitted)
