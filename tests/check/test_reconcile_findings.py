"""Findings about the comparison of buckets with the index."""

from __future__ import annotations

from subscriber.check.rules.finding import Finding
from subscriber.check.rules.reconcile import reconcile_findings, unlisted_finding
from subscriber.errors import ExitCode
from subscriber.jobs import BucketJobs

HOUR = 3600.0


def test_a_bucket_that_was_never_compared_is_a_note() -> None:
    """With or without a schedule; one line for all of them."""
    known = [BucketJobs("lake"), BucketJobs("done", complete_seconds=HOUR), BucketJobs("pond")]
    (found,) = reconcile_findings(known, None)
    assert (found.severity, found.subject) == ("note", "buckets lake, pond")
    assert "`subscriber reconcile s3://lake`" in found.remedy
    (scheduled,) = reconcile_findings(known, 24)
    assert scheduled.remedy.endswith("the schedule does it soon after the start")


def test_a_comparison_that_is_overdue_is_a_warning() -> None:
    """After two periods of the schedule; without one nothing is ever due."""
    known = [BucketJobs("lake", complete_seconds=49 * HOUR), BucketJobs("pond", complete_seconds=47 * HOUR)]
    assert list(reconcile_findings(known, None)) == []
    assert list(reconcile_findings(known, 24)) == [
        Finding(
            "warning",
            ExitCode.DATABASE,
            "bucket lake",
            "was last compared with the index 49 hours ago, SUBSCRIBER_RECONCILE_EVERY_HOURS is 24",
            "`subscriber jobs list` shows what became of its jobs; the log has reconcile.failed",
        )
    ]


def test_a_bucket_that_cannot_be_listed_names_the_permissions() -> None:
    """All of them at once; another failure is about the way to S3."""
    assert "s3:ListBucketVersions" in unlisted_finding("lake", "AccessDenied", "").remedy
    assert "AWS_ENDPOINT_URL_S3" in unlisted_finding("lake", "Timeout", "no answer within 5 s").remedy
