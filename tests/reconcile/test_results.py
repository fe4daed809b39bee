"""The results of a job, as its rows in the database tell them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.jobs import Jobs
from subscriber.jobs import Counters, NewJob, PageDone
from subscriber.model import KeyRange
from subscriber.reconcile import results
from subscriber.reconcile.job import TRANSITIONS
from subscriber.reconcile.manifest import inputs_of, range_of, unfinished_keys
from subscriber.reconcile.results import ResultPlace, result_place, write_job_results, writer_to

RANGES = (KeyRange("", "b"), KeyRange("b", "é"), KeyRange("é", None))


@pytest.fixture
async def jobs(migrated: StoreOptions) -> AsyncIterator[Jobs]:
    """The tables of jobs."""
    jobs = Jobs(migrated)
    yield jobs
    await jobs.close()


async def half_done(jobs: Jobs) -> int:
    """A job with a range that succeeded, one that failed, and one that nobody has begun."""
    job_id = await jobs.create(NewJob("reconcile", "lake", "", RANGES, "me@host"))
    for state, error in (("succeeded", None), ("failed", "AccessDenied: no, that's it")):
        claim = await jobs.claim(job_id, "worker", 60.0)
        assert claim is not None
        await jobs.progress(claim.held, PageDone(f"{claim.held.keys.after}a", 1, Counters(listed=7)), 60.0)
        await jobs.leave(claim.held, "failed" if state == "failed" else "succeeded", error)
    return job_id


async def written(jobs: Jobs, job_id: int, folder: Path) -> dict[str, list[Any]]:
    """The records of each status, as the manifest names their files."""
    place = result_place(str(folder))
    async with writer_to(place) as writer:
        manifest = await write_job_results(jobs, await jobs.get(job_id), place, writer)
    assert manifest == f"{folder}/job-{job_id}/manifest.json"
    files = json.loads(Path(manifest).read_bytes())["ResultFiles"]  # noqa: ASYNC240 - a small file
    return {
        status: [record for file in named for record in json.loads((folder / file["Key"]).read_bytes())]
        for status, named in files.items()
    }


async def test_each_range_is_in_the_file_of_its_state(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what was asked for, what came of it, and why it failed; however many calls the ranges take."""
    monkeypatch.setattr(results, "RANGES_PER_CALL", 1)
    job_id = await half_done(jobs)
    found = await written(jobs, job_id, tmp_path)
    asked = {status: [range_of(json.loads(each["Input"]))[1] for each in records] for status, records in found.items()}
    assert asked == {"SUCCEEDED": [RANGES[0]], "FAILED": [RANGES[1]], "PENDING": [RANGES[2]]}
    assert json.loads(found["SUCCEEDED"][0]["Output"])["listed"] == 7
    failed = found["FAILED"][0]
    assert (failed["Error"], failed["Cause"], failed["RedriveCount"]) == ("AccessDenied", "no, that's it", 0)
    assert failed["Name"] == f"job-{job_id}-2"


async def test_what_is_unfinished_can_be_redriven(jobs: Jobs, tmp_path: Path) -> None:
    """The rows know it as well as the files do; later results replace the earlier ones."""
    job_id = await half_done(jobs)
    await written(jobs, job_id, tmp_path)
    manifest = (tmp_path / f"job-{job_id}/manifest.json").read_bytes()
    unfinished = [given for key in unfinished_keys(manifest) for given in inputs_of((tmp_path / key).read_bytes())]
    assert [range_of(given)[1] for given in unfinished] == [RANGES[1], RANGES[2]]
    assert await jobs.move(job_id, {"running"}, "failed")
    assert await jobs.redrive(job_id, TRANSITIONS["redrive"][0]) == 1
    for expected in RANGES[1:]:
        claim = await jobs.claim(job_id, "worker", 60.0)
        assert claim is not None
        assert claim.held.keys == expected
        await jobs.leave(claim.held, "succeeded")
    found = await written(jobs, job_id, tmp_path)
    assert {status: len(records) for status, records in found.items()} == {"SUCCEEDED": 3, "FAILED": 0, "PENDING": 0}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("results", ResultPlace("", "results")),
        ("/a/b/", ResultPlace("", "/a/b/")),
        ("s3://out", ResultPlace("out", "")),
        ("s3://out/", ResultPlace("out", "")),
        ("s3://out/a b/c", ResultPlace("out", "a b/c/")),
        ("s3://out/a/", ResultPlace("out", "a/")),
    ],
)
def test_a_place_is_a_folder_or_a_prefix(text: str, place: ResultPlace) -> None:
    """A prefix ends in one slash."""
    assert result_place(text) == place
