"""The range pass, in any interleaving with changes and events: two looks, digests, empty ranges; in virtual time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.adapters.postgres.object_index import LAST_KEY
from subscriber.errors import ListingError
from subscriber.jobs import JobOptions, PageDone
from subscriber.model import KeyRange, ListedVersion, ObjectEvent, RankedVersion
from subscriber.reconcile import range_pass
from subscriber.reconcile.compare import compare
from testkit.reconcile.claims import KINDS, broken_claims, bucket_of
from testkit.reconcile.interleaving import Mix
from testkit.reconcile.model_index import ModelIndex
from testkit.reconcile.passes import PassInterleaving, PassLister, PassReader, PassStore, added_event, job_of
from tests.reconcile.samples import CONTEXT, LONG_AGO, NOW, indexed, listed

pytestmark = pytest.mark.usefixtures("untraced")

SEEDS = 60


def run_of(seed: int, mix: Mix) -> PassInterleaving:
    """One run of any kind."""
    random, kind = Random(seed), KINDS[seed % len(KINDS)]
    bucket = bucket_of("lake", random, kind)
    may_change = msgspec.structs.replace(mix, may_change_versioning=kind[1])
    return PassInterleaving(bucket, ModelIndex(lambda: bucket.now), random, may_change)


async def test_repairs_end_as_the_bucket() -> None:
    """Whatever is lost, late, twice or reordered, and whatever changes between two pages or two looks."""
    verdicts: Counter[str] = Counter()
    for seed in range(SEEDS):
        run = run_of(seed, Mix(lost=(0.0, 0.3, 1.0)[seed % 3], steps=40))
        run.suspects_at_most = (1_000, 1)[seed % 2]
        assert await broken_claims(run) == [], seed
        verdicts += run.verdicts
    assert all(verdicts[kind] > 5 for kind in ("fresh", "missing", "ghost", "stale")), verdicts


async def test_prompt_events_are_no_drift() -> None:
    """Under load a report finds nothing and writes nothing, if every event arrives within the grace."""
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        run = run_of(seed, Mix(is_prompt=True, inventories=False, steps=80))
        run.repair = False
        await run.run()
        seen += run.verdicts
        assert await run.faults() == [], seed
    assert not {"missing", "ghost", "stale"} & seen.keys(), seen
    assert seen["fresh"] > 20


async def test_one_look_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the comparison of both looks, some of the same runs would report drift."""
    monkeypatch.setattr(range_pass, "confirmed", lambda first, _second: first)
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        run = run_of(seed, Mix(is_prompt=True, inventories=False, steps=80))
        run.repair = False
        await run.run()
        seen += run.verdicts
    assert {"missing", "ghost", "stale"} & seen.keys()


async def test_more_suspects_than_are_held_are_counted_at_once() -> None:
    """In a report nothing waits for them, and the count is the same."""
    run = run_of(1, Mix(steps=0))
    for number in range(40):
        run.bucket.put(f"key-{number:02}", 1)
    run.bucket.pass_time(1_000)
    run.repair, run.suspects_at_most = False, 5
    assert await run.reconcile(KeyRange(), page_entries=7, is_at_rest=True) == {"missing": 40}


async def test_keys_that_postgresql_cannot_hold_are_left_out() -> None:
    """They neither reach the index nor end the range, wherever they lie on a page."""
    run = run_of(1, Mix(steps=0))
    for key in ("a", "b\0", "c", "\0", "z\0z"):
        run.bucket.put(key, 1)
    run.bucket.pass_time(1_000)
    lister = PassLister(run, 1, is_of_versions=True, is_at_rest=True)
    passed = range_pass.RangePass(lister, lambda: PassReader(run), PassStore(run))
    pages = await all_pages(passed, JobOptions(repair=True))
    assert [row.key for row in await run.index.versions()] == ["a", "c"]
    assert passed.totals.unjudged == 3
    assert not any("\0" in page.position for page in pages)


class RecordingStore(PassStore):
    """Records which keys come by which statement; after the first, the event of one key arrives."""

    def __init__(self, run: PassInterleaving, arriving: str) -> None:
        super().__init__(run)
        self.added, self.upserted = list[str](), list[str]()
        self.failed = 0
        self._index, self._arriving = run.index, arriving

    async def store(self, rows: Sequence[ObjectEvent], limit_seconds: float = math.inf) -> int:
        """See PassStore."""
        self.upserted += [row.key for row in rows]
        return await super().store(rows, limit_seconds)

    async def add_listed(self, bucket: str, versions: Sequence[RankedVersion], event_name: str) -> bool:
        """See PassStore."""
        if not await super().add_listed(bucket, versions, event_name):
            self.failed += 1
            return False
        self.added += [version.key for version, _ in versions]
        if self._arriving not in self.added:
            row = added_event(bucket, versions[0][0], "F", event_name)
            await self._index.store([msgspec.structs.replace(row, key=self._arriving, size_bytes=77)])
        return True


async def test_rows_are_added_where_the_index_has_none() -> None:
    """A page with a key whose event has arrived meanwhile is upserted; the pages before and after it are not."""
    run = run_of(1, Mix(steps=0))
    keys = [f"key-{number:02}" for number in range(30)]
    for key in keys:
        run.bucket.put(key, 1)
    run.bucket.pass_time(1_000)
    store = RecordingStore(run, "key-15")
    lister = PassLister(run, 3, is_of_versions=True, is_at_rest=True)
    await all_pages(range_pass.RangePass(lister, lambda: PassReader(run), store), JobOptions(repair=True))
    assert sorted(store.added + store.upserted) == keys
    assert "key-15" in store.upserted
    assert store.failed == 1
    assert {"key-00", "key-29"} <= set(store.added)
    assert (await run.index.versions())[15].size_bytes == 77


async def test_rows_are_added_beside_those_of_events_before() -> None:
    """Subscribed first, a bucket has rows in every range: pages without one are added, and a ghost is found."""
    run = run_of(1, Mix(steps=0))
    keys = [f"key-{number:02}" for number in range(30)]
    for key in [*keys, "key-15-ghost"]:
        run.bucket.put(key, 1)
    run.bucket.pass_time(1_000)
    lister = PassLister(run, 3, is_of_versions=True, is_at_rest=True)
    listed_now = [version async for page in lister.pages(KeyRange()) for version in page]
    ghost = next(version for version in listed_now if version.key == "key-15-ghost")
    early = msgspec.structs.replace(added_event("lake", ghost, "1", "ObjectCreated:Put"), key="key-15-gone")
    await run.index.store([early])
    run.bucket.pass_time(1_000)
    store = RecordingStore(run, "key-00")
    pages = await all_pages(range_pass.RangePass(lister, lambda: PassReader(run), store), JobOptions(repair=True))
    assert sum(page.counters.ghost for page in pages) == 1
    assert {"key-00", "key-29"} <= set(store.added)
    assert sorted({*store.added, *store.upserted} - {"key-15-gone"}) == sorted([*keys, "key-15-ghost"])


async def test_a_bucket_that_gets_versioning_meanwhile_fails_the_range() -> None:
    """Current objects without their version ids are not written."""
    run = run_of(0, Mix(steps=0, keys=("a", "b")))
    run.bucket.put("a", 1)
    run.bucket.pass_time(1_000)
    lister = PassLister(run, 1, is_of_versions=False, is_at_rest=True)
    passed = range_pass.RangePass(lister, lambda: PassReader(run), PassStore(run))
    run.bucket.enable_versioning()
    for repair in (True, False):
        with pytest.raises(ListingError, match="got versioning") as caught:
            await all_pages(passed, JobOptions(repair=repair, versions=False))
        assert caught.value.is_permanent
    assert await run.index.versions() == []


async def all_pages(passed: range_pass.RangePass, options: JobOptions) -> list[PageDone]:
    """Every page of the whole bucket."""
    return [page async for page in passed.do_range(*job_of("lake", KeyRange(), options))]


async def test_a_range_that_ends_earlier_meanwhile_counts_no_key_twice() -> None:
    """The end that is sent as the answer to a page cuts what is not in work yet, which each page tells."""
    run = run_of(1, Mix(steps=0))
    for number in range(30):
        run.bucket.put(f"key-{number:02}", 1)
    run.bucket.pass_time(1_000)
    lister = PassLister(run, 4, is_of_versions=True, is_at_rest=True)
    passed = range_pass.RangePass(lister, lambda: PassReader(run), PassStore(run))
    pages = passed.do_range(*job_of("lake", KeyRange(), JobOptions(repair=True)))
    found = [await anext(pages)]
    assert found[0].reached < "key-16"
    try:
        while found[-1].position < "key-16":
            found.append(await pages.asend("key-16"))
    except StopAsyncIteration:
        pass
    await pages.aclose()
    assert sum(page.counters.missing for page in found) == 17
    assert [page.position for page in found] == sorted({page.position for page in found})


async def test_pages_that_wait_for_a_second_look_are_in_work() -> None:
    """A range is not cut before their end: their keys are counted already."""
    run = run_of(1, Mix(steps=0))
    for number in range(30):
        run.bucket.put(f"key-{number:02}", 1)
    run.bucket.pass_time(1_000)
    lister = PassLister(run, 4, is_of_versions=True, is_at_rest=True)
    passed = range_pass.RangePass(lister, lambda: PassReader(run), PassStore(run))
    pages = await all_pages(passed, JobOptions(repair=False))
    assert len(pages) > 1
    assert {page.reached for page in pages} == {LAST_KEY}


VERSIONS = st.lists(
    st.builds(
        listed,
        st.sampled_from(["", "v1", "v2", "v3"]),
        marker=st.booleans(),
        at=st.sampled_from([LONG_AGO, NOW - 100, NOW]),
        size=st.integers(0, 3),
    ),
    min_size=1,
    max_size=5,
)


@given(VERSIONS)
def test_a_key_without_rows_has_the_verdict_of_the_general_rule(stack: list[ListedVersion]) -> None:
    """The short way of backfills is the rule for any key: an old tombstone of another version changes nothing."""
    tombstone = indexed("gone", state="removed")
    assert compare(stack, (), CONTEXT) == compare(stack, (tombstone,), CONTEXT)
