"""Whether a bucket sends its events to one of our queues: what a job asks before it fills or compares an index."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from subscriber.adapters.aws.calls import AwsCallError, AwsCalls
from subscriber.check.rules.bucket import SubscriptionGap, subscription_gap
from subscriber.errors import ConfigurationError
from subscriber.queue_url import account_of, queue_name


async def require_subscription(bucket: str, prefix: str, queue_urls: Sequence[str]) -> str | None:
    """Check the bucket's notification configuration; return a sentence if nothing certain can be said.

    Raises:
        ConfigurationError: the bucket does not send created and removed events of its keys with the prefix to one of
            the queues.
    """
    gap = await gap_of_bucket(bucket, prefix, queue_urls)
    if gap is None:
        return None
    if gap.is_certain:
        raise ConfigurationError(
            f"bucket {bucket} {gap.problem}: the index would be out of date at once. Subscribe a queue first, and wait "
            "a minute; --anyway goes on all the same"
        )
    return f"bucket {bucket} {gap.problem}"


async def gap_of_bucket(bucket: str, prefix: str, queue_urls: Sequence[str]) -> SubscriptionGap | None:
    """Why not all events of a bucket's keys with a prefix arrive; not certain where its configuration is not shown."""
    calls = AwsCalls(None)
    try:
        configuration = await calls.call("s3", "GetBucketNotificationConfiguration", Bucket=bucket)
    except AwsCallError as error:
        problem = f"does not tell whether it sends its events to our queues ({error.code}: {error.detail})"
        return SubscriptionGap(problem, is_certain=False)
    finally:
        await calls.close()
    return subscription_gap(configuration, our_arns(configuration, queue_urls), prefix)


def our_arns(configuration: dict[str, Any], queue_urls: Sequence[str]) -> Collection[str]:
    """The queues of a configuration that are ours, by account and name; a URL without an account goes by its name."""
    ours = {(account_of(url), queue_name(url)) for url in queue_urls}
    found = set()
    for each in configuration.get("QueueConfigurations", []):
        arn = str(each.get("QueueArn", ""))
        account, name = arn.split(":")[-2:] if arn.count(":") == 5 else ("", "")
        if (account, name) in ours or ("", name) in ours:
            found.add(arn)
    return found
