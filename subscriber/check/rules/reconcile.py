"""Rules about the comparison of buckets with the index: whether it was ever done, lately enough, and may be done. Pure.

An index that was never compared with a bucket lacks what was there before the subscription, and nobody knows what the
lost events of the time since have left behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from subscriber.check.rules.finding import Finding
from subscriber.errors import AwsErrorKind, ExitCode, StoreError, aws_error_kind
from subscriber.jobs import BucketJobs

OVERDUE_PERIODS = 2
"""A job of a large bucket may take a good part of a period itself; after two of them one has surely been left out."""
_RIGHTS = "s3:ListBucket, s3:ListBucketVersions and s3:GetBucketVersioning"


def reconcile_findings(known: Sequence[BucketJobs], every_hours: float | None) -> Iterator[Finding]:
    """The buckets that were never compared from end to end, and those for which it was too long ago.

    Args:
        known: what the jobs say.
        every_hours: the schedule; None: there is none.
    """
    never = [jobs.bucket for jobs in known if jobs.complete_seconds is None]
    if never:
        problem = "never compared with the index from end to end: what was there before the subscription is missing"
        example = f"`subscriber reconcile s3://{never[0]}` tells what differs"
        wait = "; the schedule does it soon after the start" if every_hours is not None else ""
        was = "was" if len(never) == 1 else "were"
        yield Finding("note", ExitCode.DATABASE, _buckets(never), f"{was} {problem}", example + wait)
    if every_hours is None:
        return
    for jobs in known:
        hours = (jobs.complete_seconds or 0.0) / 3600
        if hours > OVERDUE_PERIODS * every_hours:
            problem = (
                f"was last compared with the index {hours:.3g} hours ago, SUBSCRIBER_RECONCILE_EVERY_HOURS is "
                f"{every_hours:g}"
            )
            remedy = "`subscriber jobs list` shows what became of its jobs; the log has reconcile.failed"
            yield Finding("warning", ExitCode.DATABASE, _buckets([jobs.bucket]), problem, remedy)


def unreadable_jobs_finding(error: StoreError) -> Finding:
    """The jobs cannot be read, but the schedule needs them."""
    problem = f"its jobs cannot be read, so nothing is compared on a schedule ({error.word}: {error.detail})"
    remedy = error.advice or "run config/sql/grants.sql again, or unset SUBSCRIBER_RECONCILE_EVERY_HOURS"
    return Finding("warning", ExitCode.DATABASE, "database", problem, remedy)


def unlisted_finding(bucket: str, code: str, detail: str) -> Finding:
    """A bucket that the schedule cannot list."""
    problem = f"cannot be listed, so it is not compared with the index ({code}: {detail or 'no details'})"
    if aws_error_kind(code) is AwsErrorKind.DENIED:
        remedy = f"allow {_RIGHTS} on it (config/iam/reconcile-policy.json)"
    else:
        remedy = "make sure that it exists and that S3 can be reached (AWS_ENDPOINT_URL_S3, a NAT or the VPC endpoint)"
    return Finding("warning", ExitCode.QUEUE, _buckets([bucket]), problem, remedy)


def _buckets(names: Sequence[str]) -> str:
    return f"{'bucket' if len(names) == 1 else 'buckets'} {', '.join(names)}"
