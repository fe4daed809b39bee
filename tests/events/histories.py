"""Histories of a few buckets, and the shuffled message bodies that a queue delivers about them.

`arrivals()` is a hypothesis strategy, `seeded_arrival(seed, …)` the same for a fixed seed. Both give an Arrival: the
buckets, which are the oracle for the final index, and batches of message bodies in any envelope and any order, with
duplicates, some with several records. An arrival misses no event.

To check any store against it:

    for bodies in arrival.batches:
        await store.store(fold(event for body in bodies for event in decoded(body).events))
    versions = [VersionRow(*row) for row in await fetch(VERSIONS_SQL)]
    assert versions == arrival.expected_versions()
    objects = [ObjectRow(*row) for row in await fetch(OBJECTS_SQL)]
    assert objects == arrival.expected_objects()

VersionRow and ObjectRow come from testkit.workload.bucket. Batches may also be stored concurrently, on several
connections: the final state must be the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

import msgspec
from hypothesis import strategies as st

from testkit.workload.bucket import Emission, ObjectRow, SimulatedBucket, Versioning, VersionRow
from testkit.workload.notifications import ENVELOPES, body_of, native_body
from testkit.workload.random_walk import ACTIONS, Action, perform, random_walk

VERSIONS_SQL: Final = (
    "SELECT bucket, key, version_id, state, size_bytes, etag FROM object_versions ORDER BY bucket, key, version_id"
)
OBJECTS_SQL: Final = "SELECT bucket, key, version_id, size_bytes, etag FROM objects ORDER BY bucket, key"

KEYS: Final = ("a", "a+b %41", "ü/日本.parquet")
"""Few, so that each has many events; two of them change when they are decoded once too often or too seldom."""
_VERSIONINGS: Final[tuple[Versioning, ...]] = ("unversioned", "enabled", "suspended")
_MAX_RECORDS = 3


class Arrival(msgspec.Struct, frozen=True):
    """What happened, and how it was delivered."""

    buckets: tuple[SimulatedBucket, ...]
    batches: list[list[str]]
    """Message bodies, batch by batch."""

    def expected_versions(self) -> list[VersionRow]:
        """All rows of `object_versions`, in key order."""
        return sorted(row for bucket in self.buckets for row in bucket.expected_versions())

    def expected_objects(self) -> list[ObjectRow]:
        """All rows of the view `objects`, in key order."""
        return sorted(row for bucket in self.buckets for row in bucket.expected_objects())


@st.composite
def arrivals(draw: st.DrawFn, *, max_actions: int = 24) -> Arrival:
    """Any history of up to three buckets, delivered in any way."""
    random = draw(st.randoms(use_true_random=False))
    buckets = []
    for number, versioning in enumerate(draw(st.lists(st.sampled_from(_VERSIONINGS), min_size=1, max_size=3))):
        bucket = SimulatedBucket(f"bucket-{number}", random, versioning=versioning)
        steps = st.lists(st.tuples(st.sampled_from(ACTIONS), st.sampled_from(KEYS)), max_size=max_actions)
        _follow(bucket, draw(steps), random)
        buckets.append(bucket)
    return _delivered(tuple(buckets), random)


def seeded_arrival(seed: int, *, events: int = 2_000, keys: int = 200) -> Arrival:
    """A long history of three buckets, the same for the same seed."""
    random = Random(seed)
    buckets = tuple(
        SimulatedBucket(f"bucket-{number}", random, versioning=versioning)
        for number, versioning in enumerate(_VERSIONINGS)
    )
    for bucket in buckets:
        random_walk(bucket, random, events=events // len(buckets), keys=keys)
    return _delivered(buckets, random)


def _follow(bucket: SimulatedBucket, steps: Sequence[tuple[Action, str]], random: Random) -> None:
    for action, key in steps:
        perform(bucket, action, key, random)


def _delivered(buckets: tuple[SimulatedBucket, ...], random: Random) -> Arrival:
    emissions = [emission for bucket in buckets for emission in bucket.history]
    duplicates = [emission for emission in emissions if random.random() < 0.2]
    pending = emissions + duplicates
    random.shuffle(pending)
    bodies = []
    while pending:
        bodies.append(_next_body(pending, random))
    batches = []
    while bodies:
        size = random.randint(1, 1 + len(bodies))
        batches.append(bodies[:size])
        del bodies[:size]
    return Arrival(buckets, batches)


def _next_body(pending: list[Emission], random: Random) -> str:
    if random.random() < 0.2:
        together = [pending.pop() for _ in range(min(len(pending), random.randint(1, _MAX_RECORDS)))]
        return native_body(*together)
    return body_of(pending.pop(), random.choice(ENVELOPES))
