"""One bucket, one index, and everything that happens between them, in an order that a random source chooses.

The bucket changes. Its events are lost, late, duplicated and reordered. Listings of it are compared with the index
while both change, several at a time, and what they find is written late too. Inventories show each key as it was up to
a day before, or a few hours after, their creationTimestamp. Time is the bucket's; no two clocks agree.

What must hold is checked by `faults()`, at the end and after each write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Final, TypeAlias

import msgspec

from subscriber.events.decode import decode
from subscriber.events.order import fold
from subscriber.model import KeyRange, Lease, ListedVersion, Message, ObjectEvent
from subscriber.reconcile.compare import GRACE_SECONDS_AT_LEAST, Context, Verdict, judge
from subscriber.reconcile.merge import merge
from subscriber.reconcile.observation import Moment, inventory_moment
from testkit.reconcile.listing import BucketListing, listed_version
from testkit.reconcile.model_index import Index
from testkit.workload.bucket import Emission, SimulatedBucket, Upload, VersionRow
from testkit.workload.notifications import ENVELOPES, body_of
from testkit.workload.random_walk import Action, perform

Snapshot: TypeAlias = tuple[float, dict[str, tuple[ListedVersion, ...]]]
"""Unix time, and the stacks at that time, newest first."""

CLOCK_ERROR_SECONDS: Final = 5
"""Of each server's clock, either way: two of them differ by up to twice as much."""
LAST_KEY: Final = "\U0010ffff"
"""After every key of a run."""
PROMPT_SECONDS: Final = 30.0
_HOUR = 3600.0
_PAUSES: Final = (0.0, 0.3, 2.0, 9.0, 40.0, 300.0, 2 * _HOUR)
_PAUSE_WEIGHTS: Final = (40, 30, 20, 15, 5, 2, 1)
_LATENESS: Final = (0.0, 1.0, 20.0, 500.0, 20 * _HOUR)
_LATENESS_WEIGHTS: Final = (50, 25, 10, 5, 2)
_ACTIONS: Final[tuple[Action, ...]] = (
    "put",
    "copy",
    "delete",
    "delete_version",
    "undelete",
    "expire",
    "expire_version",
    "enable_versioning",
    "suspend_versioning",
)
_ACTION_WEIGHTS: Final = (30, 3, 12, 20, 8, 3, 12, 1, 1)
_SETTLED_SECONDS = 2 * GRACE_SECONDS_AT_LEAST
_INVENTORY_AGE_SECONDS = 23 * _HOUR
_INVENTORY_SCAN_SECONDS = 3 * _HOUR
_LEASE: Final = Lease("queue", 0.0, set())


class Mix(msgspec.Struct, frozen=True):
    """What may happen in one run."""

    keys: tuple[str, ...] = ("a", "a/b", "ü/日本.parquet")
    lost: float = 0.0
    """Share of the events that never arrive."""
    duplicated: float = 0.2
    steps: int = 60
    """How many changes are tried in all, those between the pages of listings included."""
    is_prompt: bool = False
    """Whether every event arrives within PROMPT_SECONDS of its change."""
    depth: int = 2
    """How many listings may be under way at once."""
    inventories: bool = True
    may_change_versioning: bool = True


class Interleaving:
    """Made for one run; `faults` and the counters are its result."""

    def __init__(self, bucket: SimulatedBucket, index: Index, random: Random, mix: Mix) -> None:
        self.bucket = bucket
        self.index = index
        self.mix = mix
        self.verdicts: Counter[str] = Counter()
        self.observations = 0
        """Listings and inventories that were compared with the index."""
        self.events = 0
        """Events that arrived, with their duplicates."""
        self._random = random
        self._uploads: list[Upload] = []
        self._emitted = 0
        self._arriving: list[tuple[float, Emission | tuple[ObjectEvent, ...]]] = []
        """When it may arrive, by the bucket's clock: an event, or the rows of an observation."""
        self._snapshots: list[Snapshot] = []
        self._removed: frozenset[tuple[str, str]] = frozenset()
        self._resurrected: set[tuple[str, str]] = set()
        self._under_way = 0
        self._steps = 0

    async def run(self) -> None:
        """All steps; then everything that is under way arrives, and the grace passes."""
        while self._steps < self.mix.steps:
            await self._step()
        await self.settle()

    async def _step(self) -> None:
        """One change of the bucket, some time, and whatever arrives then; sometimes an observation."""
        self._steps += 1
        self._act()
        if self.mix.is_prompt:
            self._emit()
        self.bucket.pass_time(self._random.choices(_PAUSES, _PAUSE_WEIGHTS)[0] * self._random.random())
        self._emit()
        now = self.bucket.now.timestamp()
        if self.mix.is_prompt:
            while any(at <= now for at, _ in self._arriving):
                await self._arrive(now)
        elif self._random.random() < 0.7:
            await self._arrive(now)
        if self._random.random() < 0.2 and self._under_way < self.mix.depth:
            await self.observe()

    async def observe(self) -> None:
        """Compare a listing or an inventory with the index, while everything goes on; its rows arrive later."""
        if self.mix.inventories and self._random.random() < 0.3:
            await self._take_inventory()
        else:
            after, upto = sorted(self._random.choices(("", *self.mix.keys, LAST_KEY), k=2))
            keys = KeyRange(after, None if upto == LAST_KEY else upto)
            await self.reconcile(keys, page_entries=self._random.randint(1, 4))

    async def arrive_all(self) -> None:
        """Everything that is under way arrives, in any order."""
        self._emit()
        while self._arriving:
            await self._arrive(float("inf"))

    async def settle(self) -> None:
        """Everything arrives, and the grace passes."""
        await self.arrive_all()
        self.bucket.pass_time(_SETTLED_SECONDS)

    async def reconcile_at_rest(self) -> Counter[str]:
        """List the bucket in two ranges while nothing else happens, and write at once what differs."""
        middle = self._random.choice(self.mix.keys)
        below, above = KeyRange("", middle), KeyRange(middle, None)
        return await self.reconcile(below, is_at_rest=True) + await self.reconcile(above, is_at_rest=True)

    async def reconcile(self, keys: KeyRange, *, page_entries: int = 1000, is_at_rest: bool = False) -> Counter[str]:
        """List a range, compare it with the index, and write what differs; return the number of each verdict.

        Args:
            keys: The range.
            page_entries: The most entries of a page.
            is_at_rest: Nothing else happens meanwhile, and the rows are written at once.
        """
        verdicts: Counter[str] = Counter()
        async for _, verdict in self._looked_at(keys, page_entries=page_entries, is_at_rest=is_at_rest):
            verdicts[verdict.kind] += 1
            await self._write(verdict.rows, is_at_rest=is_at_rest)
        self.verdicts += verdicts
        return verdicts

    async def look(self) -> dict[str, Verdict]:
        """List the bucket while everything goes on, and return the verdict on each key, without writing anything."""
        return {key: verdict async for key, verdict in self._looked_at(KeyRange(), page_entries=2, is_at_rest=False)}

    async def let_pass(self, seconds: float) -> None:
        """Let changes and events go on for so long by the bucket's clock, or longer."""
        until = self.bucket.now.timestamp() + seconds
        while self.bucket.now.timestamp() < until:
            await self._step()

    async def faults(self) -> list[str]:
        """How index and bucket differ, whatever was not to happen included; empty if nothing is wrong."""
        await self._watch()
        expected = {_comparable(row) for row in self.bucket.expected_versions() if row.state != "removed"}
        held = {_comparable(row) for row in await self.index.versions() if row.state != "removed"}
        shown, objects = self.bucket.expected_objects(), await self.index.objects()
        return [
            *(f"missing or hidden: {row}" for row in sorted(expected - held)),
            *(f"not in the bucket: {row}" for row in sorted(held - expected)),
            *(f"wrong in the view: {row}" for row in sorted(set(shown) ^ set(objects))),
            *(f"brought back after its removal: {identity}" for identity in sorted(self._resurrected)),
        ]

    def _act(self) -> None:
        key = self._random.choice(self.mix.keys)
        choice = self._random.random()
        if choice < 0.12:
            self._uploads.append(self.bucket.initiate_multipart(key))
        elif choice < 0.24 and self._uploads:
            upload = self._uploads.pop(self._random.randrange(len(self._uploads)))
            self.bucket.complete_multipart(upload.key, self._random.randrange(100), 2, upload)
        else:
            action = self._random.choices(_ACTIONS, _ACTION_WEIGHTS)[0]
            if self.mix.may_change_versioning or not action.endswith("_versioning"):
                perform(self.bucket, action, key, self._random)

    def _emit(self) -> None:
        """Decide what becomes of each new event."""
        now = self.bucket.now.timestamp()
        for emission in self.bucket.history[self._emitted :]:
            copies = 1 + (self._random.random() < self.mix.duplicated)
            for _ in range(copies if self._random.random() >= self.mix.lost else 0):
                self._arriving.append((now + self._lateness(), emission))
        self._emitted = len(self.bucket.history)
        stacks = {
            key: tuple(listed_version(key, version, is_latest=version is stack[-1]) for version in reversed(stack))
            for key, stack in self.bucket.stacks().items()
        }
        self._snapshots.append((now, stacks))

    def _lateness(self) -> float:
        if self.mix.is_prompt:
            return self._random.random() * PROMPT_SECONDS
        return self._random.choices(_LATENESS, _LATENESS_WEIGHTS)[0] * self._random.random()

    async def _arrive(self, until: float) -> None:
        """Write one batch of what may have arrived by then."""
        due = [arriving for arriving in self._arriving if arriving[0] <= until]
        self._random.shuffle(due)
        taken = due[: self._random.randint(1, 1 + len(due))]
        for arriving in taken:
            self._arriving.remove(arriving)
        events = [event for _, payload in taken for event in self._events_of(payload)]
        await self.index.store(fold(events))
        await self._watch()

    def _events_of(self, payload: Emission | tuple[ObjectEvent, ...]) -> tuple[ObjectEvent, ...]:
        if isinstance(payload, tuple):
            return payload
        self.events += 1
        body = body_of(payload, self._random.choice(ENVELOPES))
        return decode(Message("queue", "id", "handle", body, 0.0, 1, _LEASE)).events

    async def _watch(self) -> None:
        """Remember which versions are removed for good, and find those that are not any more."""
        removed = await self.index.removed_for_good()
        self._resurrected |= self._removed - removed
        self._removed = removed

    async def _go_on(self) -> None:
        """What happens between two pages."""
        for _ in range(self._random.randint(0, 2)):
            if self._steps < self.mix.steps:
                await self._step()

    async def _looked_at(
        self, keys: KeyRange, *, page_entries: int, is_at_rest: bool
    ) -> AsyncIterator[tuple[str, Verdict]]:
        """List a range and yield the verdict on each key."""
        is_of_versions = self.mix.may_change_versioning or self.bucket.versioning != "unversioned"
        listing = BucketListing(
            self.bucket,
            self._random,
            _nothing if is_at_rest else self._go_on,
            is_of_versions=is_of_versions,
            page_entries=page_entries,
            clock_error_seconds=CLOCK_ERROR_SECONDS,
        )
        moment = Moment(await listing.server_time())
        context = Context(self.bucket.name, moment, are_noncurrent_visible=is_of_versions)
        self._under_way += 1
        async for key in self._judged(listing.pages(keys), keys, context):
            yield key
        self._under_way -= 1

    async def _judged(
        self, listed: AsyncIterator[Sequence[ListedVersion]], keys: KeyRange, context: Context
    ) -> AsyncIterator[tuple[str, Verdict]]:
        self.observations += 1
        async for key in merge(listed, self.index.pages(keys, self._random.randint(1, 5))):
            yield key.key, judge(key, context)

    async def _write(self, rows: tuple[ObjectEvent, ...], *, is_at_rest: bool) -> None:
        """Write what an observation tells, now or later."""
        if is_at_rest:
            await self.index.store(rows)
        elif rows:
            self._arriving.append((self.bucket.now.timestamp() + self._lateness(), rows))

    async def _take_inventory(self) -> None:
        """Compare an inventory that was created some time ago, each key as it was at another time."""
        now = self.bucket.now.timestamp()
        created = now - self._random.random() * _INVENTORY_SCAN_SECONDS
        earliest, latest = created - _INVENTORY_AGE_SECONDS, min(now, created + _INVENTORY_SCAN_SECONDS)
        shown = [stacks for at, stacks in self._snapshots if earliest <= at <= latest]
        if not shown:
            return
        # What held before the earliest of these snapshots holds there too, so no key is older than it may be.
        rows = [row for key in self.mix.keys for row in self._random.choice(shown).get(key, ())]
        context = Context(self.bucket.name, inventory_moment(int(created)), is_absence_proved=False)
        inventory = _one_page(sorted(rows, key=lambda row: row.key))
        async for _, verdict in self._judged(inventory, KeyRange(), context):
            self.verdicts[verdict.kind] += 1
            await self._write(verdict.rows, is_at_rest=False)


def _comparable(row: VersionRow) -> VersionRow:
    """A row without the ETag of a delete marker, which events have and listings have not."""
    return row if row.state == "present" else msgspec.structs.replace(row, etag=None)


async def _nothing() -> None:
    """Nothing happens between two pages."""


async def _one_page(rows: list[ListedVersion]) -> AsyncIterator[Sequence[ListedVersion]]:
    yield rows
