"""Where an idle worker cuts a range in work: well ahead of its worker, with keys behind, and not too often."""

from __future__ import annotations

from bisect import bisect_right

import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.jobs import Jobs
from subscriber.adapters.postgres.object_index import LAST_KEY
from subscriber.adapters.s3 import client as client_module
from subscriber.adapters.s3.client import BucketOptions
from subscriber.adapters.s3.lister import BucketLister, ListerOptions
from subscriber.flow.request_budget import RequestLimits
from subscriber.jobs import Counters, NewJob, PageDone
from subscriber.model import KeyRange
from subscriber.reconcile.listing_wait import ListingWait
from subscriber.reconcile.run import SPLIT_AFTER_PAGES, SPLIT_EVERY_LISTED, split_chooser
from testkit.s3.generated import GeneratedBucket, GeneratedPlan
from testkit.s3.launch import ListingServer
from tests.fixtures.aws import session_with_cached_models
from tests.fixtures.s3 import MakeBucket

PLAN = GeneratedPlan(keys=20_000, keys_per_block=200, is_versioned=False, layout="mixed")
PAGE = 100
JOB = NewJob("backfill", "lake", "", (KeyRange(),), "test")


@pytest.mark.parametrize("place", [0.01, 0.5, 0.9])
async def test_a_cut_lies_ahead_with_keys_behind(
    migrated: StoreOptions,
    serve_bucket: MakeBucket,
    listing_server: ListingServer,
    aws_environment: pytest.MonkeyPatch,
    place: float,
) -> None:
    """Wherever the worker stands; without progress since, the same range is not asked again."""
    aws_environment.setenv("AWS_REGION", "us-east-1")
    aws_environment.setenv("AWS_ENDPOINT_URL_S3", listing_server.endpoint_url)
    aws_environment.setattr(client_module, "session_with_region", session_with_cached_models)
    spec = serve_bucket(generated=PLAN, page_size=PAGE)
    keys = [entry.key.decode() for entry in GeneratedBucket(PLAN).entries(is_versions=False)]
    position = keys[int(len(keys) * place)]
    options = ListerOptions(BucketOptions(spec.name), "ListObjectsV2", limits=RequestLimits(4, 10_000.0))
    jobs = Jobs(migrated)
    try:
        claim = await jobs.claim(await jobs.create(JOB), "worker", 60.0)
        assert claim is not None
        await jobs.progress(claim.held, PageDone(position, 1, Counters(listed=SPLIT_EVERY_LISTED)), 60.0)
        job = await jobs.get(claim.held.job_id)
        running = await jobs.ranges(job.job_id)
        async with BucketLister(options) as lister:
            all_listed = {claim.held.number: LAST_KEY}
            assert await split_chooser(lister, jobs, all_listed, ListingWait())(job, running) is None
            choose = split_chooser(lister, jobs, {claim.held.number: position}, ListingWait())
            choice = await choose(job, running)
            asked = sum(lister.requests.values())
            assert await choose(job, running) is None
            assert sum(lister.requests.values()) == asked
    finally:
        await jobs.close()
    assert choice is not None
    owned, cut = choice
    assert owned.number == claim.held.number
    ahead = bisect_right(keys, cut) - bisect_right(keys, position)
    assert ahead > (SPLIT_AFTER_PAGES - 1) * PAGE
    assert cut < keys[-1]
    assert asked < 100
