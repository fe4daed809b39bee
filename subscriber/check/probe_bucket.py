"""A look at the notification configuration of a bucket, where the role may read it."""

from __future__ import annotations

from collections.abc import Collection

from subscriber.adapters.aws.calls import AwsCallError, AwsCalls
from subscriber.check.rules.bucket import bucket_findings, unreadable_bucket
from subscriber.check.rules.finding import Finding


async def probe_bucket(calls: AwsCalls, bucket: str, queue_arns: Collection[str]) -> list[Finding]:
    """What is wrong with what the bucket tells our queues; it raises nothing that S3 can bring about."""
    try:
        configuration = await calls.call("s3", "GetBucketNotificationConfiguration", Bucket=bucket)
    except AwsCallError as error:
        return [unreadable_bucket(bucket, error.code, error.detail)]
    return bucket_findings(bucket, configuration, queue_arns)
