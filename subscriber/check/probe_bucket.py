"""Reads the notification configuration of a bucket, if the role may, and tries to list it."""

from __future__ import annotations

from collections.abc import Collection

from subscriber.adapters.aws.calls import AwsCallError, AwsCalls
from subscriber.check.rules.bucket import UnreadableBucket, bucket_findings
from subscriber.check.rules.finding import Finding
from subscriber.check.rules.reconcile import unlisted_finding


async def probe_bucket(calls: AwsCalls, bucket: str, queue_arns: Collection[str]) -> list[Finding] | UnreadableBucket:
    """Check which events the bucket sends to our queues; a failed S3 call is a result, not an exception."""
    try:
        configuration = await calls.call("s3", "GetBucketNotificationConfiguration", Bucket=bucket)
    except AwsCallError as error:
        return UnreadableBucket(bucket, error.code, error.detail)
    return bucket_findings(bucket, configuration, queue_arns)


async def probe_listing(calls: AwsCalls, bucket: str) -> list[Finding]:
    """Try the calls that a comparison of the bucket with the index makes, for one entry each."""
    try:
        await calls.call("s3", "GetBucketVersioning", Bucket=bucket)
        await calls.call("s3", "ListObjectVersions", Bucket=bucket, MaxKeys=1)
        await calls.call("s3", "ListObjectsV2", Bucket=bucket, MaxKeys=1)
    except AwsCallError as error:
        return [unlisted_finding(bucket, error.code, error.detail)]
    return []
