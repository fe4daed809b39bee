"""How complete the index is of a bucket: every course of jobs that leads to another sentence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from subscriber.buckets import BucketEvents, BucketJob
from subscriber.jobs import JobState
from subscriber.reconcile.completeness import Judgment, completeness, judgments

START = datetime(2026, 3, 1, tzinfo=UTC)
NOTED = BucketEvents("lake", noted_at=START, events_since=START)


def at(hour: int) -> datetime:
    """An hour of the test."""
    return START + timedelta(hours=hour)


def job(hour: int, kind: str = "reconcile", state: JobState = "succeeded", **changes: Any) -> BucketJob:
    """A job that ended at an hour."""
    fields: dict[str, Any] = {"prefix": "", "repairs": kind != "reconcile", "created_at": at(hour)} | changes
    ended = None if state in {"running", "paused"} else at(hour)
    return BucketJob("lake", job_id=hour, kind=kind, state=state, finished_at=ended, **fields)


def judged(*jobs: BucketJob, events: BucketEvents = NOTED) -> Judgment:
    """What these jobs come to."""
    (found,) = judgments([events], sorted(jobs, key=lambda each: (each.prefix, each.job_id)))
    return found


@pytest.mark.parametrize(
    ("jobs", "since"),
    [
        ([job(1, "backfill", missing=49)], 1),
        ([job(1, "backfill", missing=49), job(2), job(3, "backfill")], 1),
        ([job(1)], 1),
        ([job(1, "backfill", missing=49), job(2, repairs=True, missing=1)], 2),
        ([job(1, "backfill"), job(2, missing=1), job(3, repairs=True, missing=1), job(4)], 3),
        ([job(1, "backfill"), job(2, missing=1), job(3)], 3),
        ([job(1, "backfill"), job(2, "inventory")], 1),
        ([job(1, "backfill"), job(2, state="failed")], 1),
    ],
)
def test_complete_since_the_last_job_that_found_a_difference(jobs: list[BucketJob], since: int) -> None:
    """Before that end a difference is known; from then on none is."""
    found = judged(*jobs)
    assert (found.kind, found.whole.complete_since) == ("complete", at(since))


@pytest.mark.parametrize(
    "jobs",
    [
        [job(1, ghost=1)],
        [job(1, "backfill", missing=49), job(2, stale=3)],
        [job(1, "backfill"), job(2, prefix="raw/", missing=1)],
    ],
)
def test_differences_that_nothing_repaired(jobs: list[BucketJob]) -> None:
    """Also below a prefix that was compared after the whole bucket."""
    assert judged(*jobs).kind == "differs"


def test_a_difference_below_a_prefix_is_gone_with_a_later_comparison_of_all() -> None:
    """Which looked at that prefix, too."""
    found = judged(job(1, prefix="raw/", missing=1), job(2, "backfill", missing=1))
    assert (found.kind, found.prefixes) == ("complete", ())


@pytest.mark.parametrize("state", ["running", "paused", "failed", "cancelled"])
def test_a_job_that_has_not_succeeded_proves_nothing(state: JobState) -> None:
    """It is told, and only while no later one has succeeded."""
    found = judged(job(1, "backfill", state))
    assert (found.kind, found.whole.unfinished) == ("events_only", job(1, "backfill", state))
    assert judged(job(1, "backfill", state), job(2)).whole.unfinished is None


def test_a_job_that_tolerated_failures_is_not_complete() -> None:
    """The keys of these ranges were not looked at, until another job has done it."""
    partial = job(1, "backfill", ranges=8, failed=2)
    assert (judged(partial).kind, judged(partial).whole.partial) == ("partial", partial)
    assert judged(partial, job(2)).whole.partial is None


def test_an_inventory_fills_and_proves_nothing() -> None:
    """It may have a filter, and is a day old: a comparison tells the rest."""
    found = judged(job(1, "inventory"))
    assert (found.kind, found.whole.filled_at, found.whole.complete_since) == ("filled", at(1), None)
    assert judged(job(1, "inventory"), job(2)).kind == "complete"


def test_prefixes_are_a_part() -> None:
    """Each with what is known of it."""
    found = judged(job(1, "backfill", prefix="a/"), job(2, prefix="b/", missing=1), job(3, "backfill", "running"))
    assert found.kind == "partial"
    assert [(prefix, each.differs) for prefix, each in found.prefixes] == [("a/", False), ("b/", True)]


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        (NOTED, "events_only"),
        (BucketEvents("lake", noted_at=START), "events_only"),
        (BucketEvents("lake"), "rows_only"),
        (BucketEvents("lake", has_rows=False), "unknown"),
    ],
)
def test_without_a_job(events: BucketEvents, kind: str) -> None:
    """Events alone tell nothing of what was there before."""
    assert judged(events=events).kind == kind


def test_each_bucket_has_its_own_jobs() -> None:
    """One without jobs in between."""
    names = ["a", "b", "c"]
    jobs = [BucketJob(name, 1, "backfill", "", True, "succeeded", at(0), at(1)) for name in ("a", "c")]
    found = judgments([BucketEvents(name, noted_at=START) for name in names], jobs)
    assert [(each.events.bucket, each.kind) for each in found] == [
        ("a", "complete"),
        ("b", "events_only"),
        ("c", "complete"),
    ]


def test_nothing_comes_to_nothing() -> None:
    """Neither a claim nor a difference."""
    assert not completeness([]).differs
