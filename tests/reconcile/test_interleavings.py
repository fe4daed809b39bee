"""Events and observations in any interleaving end in the state of the bucket; the index is a dictionary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriber.model import KeyRange, ListedVersion, ObjectEvent
from subscriber.reconcile import compare
from subscriber.reconcile.observation import Moment, observed_events
from testkit.reconcile import interleaving
from testkit.reconcile.claims import KINDS, Kind, broken_claims, bucket_of
from testkit.reconcile.interleaving import Interleaving, Mix
from testkit.reconcile.model_index import ModelIndex
from testkit.workload.bucket import SimulatedBucket

pytestmark = pytest.mark.usefixtures("untraced")

MIXES = st.builds(
    Mix,
    steps=st.integers(1, 60),
    lost=st.sampled_from([0.0, 0.3, 1.0]),
    duplicated=st.sampled_from([0.0, 0.5]),
    depth=st.integers(0, 2),
    inventories=st.booleans(),
)
RUNS_THAT_SHOW = 60
"""So many seeds show each fault below several times."""


def model_of(bucket: SimulatedBucket) -> ModelIndex:
    """An index whose clock is right."""
    return ModelIndex(lambda: bucket.now)


def interleaving_of(random: Random, kind: Kind, mix: Mix) -> Interleaving:
    """One run of this kind with a dictionary as the index."""
    bucket = bucket_of("lake", random, kind)
    return Interleaving(bucket, model_of(bucket), random, msgspec.structs.replace(mix, may_change_versioning=kind[1]))


@settings(max_examples=100)
@given(st.randoms(use_true_random=False), st.sampled_from(KINDS), MIXES)
async def test_any_interleaving_ends_as_the_bucket(random: Random, kind: Kind, mix: Mix) -> None:
    """Whatever is lost, late, twice, reordered, or seen by listings and inventories while it changes."""
    assert await broken_claims(interleaving_of(random, kind, mix)) == []


async def seeded_runs(runs: int) -> tuple[Counter[str], Counter[str]]:
    """Runs of all kinds; the claims that did not hold, and the verdicts."""
    failed: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    for seed in range(runs):
        lost = (0.0, 0.3)[seed // len(KINDS) % 2]
        run = interleaving_of(Random(seed), KINDS[seed % len(KINDS)], Mix(lost=lost))
        failed.update(await broken_claims(run))
        verdicts += run.verdicts
    return failed, verdicts


async def test_long_seeded_interleavings() -> None:
    """No run of any kind ends otherwise, and every verdict occurs often."""
    failed, verdicts = await seeded_runs(RUNS_THAT_SHOW)
    assert failed == {}
    assert all(verdicts[kind] > 5 for kind in ("agree", "fresh", "missing", "ghost", "stale"))


def too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Facts are worth the time of the answer, not an earlier one."""
    monkeypatch.setattr(interleaving, "Moment", lambda server_time: Moment(server_time, -CLOCKS_DIFFER_BY))


def never_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key is judged."""
    monkeypatch.setattr(compare, "_is_fresh", lambda *_: False)


def content_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of a stack is not compared."""
    monkeypatch.setattr(compare, "_misplaced", lambda *_: frozenset())


def missing_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what has no row is written, not the whole stack."""
    whole = compare._written

    def alone(stack: list[ListedVersion], rows: dict[str, object], context: compare.Context) -> tuple[ObjectEvent, ...]:
        return tuple(row for row in whole(stack, rows, context) if row.version_id not in rows)  # type: ignore[arg-type]  # rows of a test

    monkeypatch.setattr(compare, "_written", alone)


def by_last_modified(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack is ranked by LastModified."""

    def ranked(bucket: str, stack: list[ListedVersion], moment: Moment) -> tuple[ObjectEvent, ...]:
        return observed_events(bucket, sorted(stack, key=lambda version: -version.last_modified), moment)

    monkeypatch.setattr(compare, "observed_events", ranked)


CLOCKS_DIFFER_BY = 10


@pytest.mark.parametrize("broken", [too_late, never_fresh, content_alone, missing_rows_alone, by_last_modified])
async def test_each_rule_is_needed(
    monkeypatch: pytest.MonkeyPatch, broken: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """Without the rule, some of the same runs end otherwise: so the runs can fail."""
    broken(monkeypatch)
    failed, _ = await seeded_runs(RUNS_THAT_SHOW)
    assert failed


async def test_a_tombstone_is_final_for_a_slower_listing() -> None:
    """The event of a removal is lost; one listing began before, another has seen the version: it stays removed."""
    random = Random(0)
    bucket = bucket_of("lake", random, ("enabled", False))
    index = model_of(bucket)
    run = Interleaving(bucket, index, random, Mix(lost=1.0, inventories=False))
    bucket.put("a", 1)
    await run.settle()
    await run.reconcile_at_rest()
    bucket.pass_time(3600)
    (version,) = bucket.stacks()["a"]
    slow, late = Moment(int(bucket.now.timestamp())), Moment(int(bucket.now.timestamp()) + 200)
    (row,) = [row async for page in index.pages(KeyRange(), 9) for row in page]
    seen = [ListedVersion("a", version.version_id, False, True, version.last_modified, 2, version.etag)]
    ghost = compare.compare([], [row], compare.Context("lake", slow))
    rewritten = compare.compare(seen, [row], compare.Context("lake", late))
    assert (ghost.kind, rewritten.kind) == ("ghost", "stale")
    bucket.delete_version("a", version.version_id)
    await index.store(ghost.rows)
    await index.store(rewritten.rows)
    assert await run.faults() == []


async def test_two_looks_report_no_drift_under_load() -> None:
    """Where every event arrives within the grace, nothing is called drift twice; one look alone would do so."""
    once = 0
    for seed in range(100):
        mix = Mix(is_prompt=True, inventories=False, depth=0, steps=10_000)
        run = interleaving_of(Random(seed), KINDS[seed % len(KINDS)], mix)
        await run.let_pass(600)
        first = await run.look()
        await run.let_pass(compare.GRACE_SECONDS_AT_LEAST)
        second = await run.look()
        twice = {key: compare.confirmed(first.get(key, compare.AGREE), verdict) for key, verdict in second.items()}
        assert [verdict for verdict in twice.values() if verdict.differences] == []
        once += sum(bool(verdict.differences) for verdict in second.values())
    assert once > 0


async def test_two_looks_report_every_lost_event() -> None:
    """Where no event arrives, every key that lies still is reported, as what it is."""
    random = Random(0)
    run = interleaving_of(random, ("enabled", False), Mix(keys=("moving",), lost=1.0, depth=0, inventories=False))
    run.bucket.put("still", 1)
    run.bucket.pass_time(3600)
    first = await run.look()
    await run.let_pass(compare.GRACE_SECONDS_AT_LEAST)
    second = await run.look()
    assert compare.confirmed(first["still"], second["still"]).kind == "missing"
