"""Findings about a bucket's notification configuration and their effect on the index."""

from __future__ import annotations

from typing import Any

import pytest

from subscriber.check.rules.bucket import UnreadableBucket, bucket_findings, subscription_gap, unreadable_findings
from subscriber.check.rules.finding import Finding

ARN = "arn:aws:sqs:eu-west-1:123456789012:events"
ALL = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*")


def subscription(*events: str, prefix: str = "", suffix: str = "", arn: str = ARN) -> dict[str, Any]:
    """One entry of QueueConfigurations, as S3 returns it (it capitalizes the names of rules)."""
    rules = [{"Name": name, "Value": value} for name, value in (("Prefix", prefix), ("Suffix", suffix)) if value]
    return {"QueueArn": arn, "Events": list(events)} | ({"Filter": {"Key": {"FilterRules": rules}}} if rules else {})


def found(*subscriptions: dict[str, Any], **more: Any) -> list[Finding]:
    """The findings about a bucket with these subscriptions."""
    return bucket_findings("lake", {"QueueConfigurations": list(subscriptions)} | more, [ARN])


def test_a_complete_configuration_has_no_findings() -> None:
    """Families whole or by member, in one subscription or in several."""
    assert found(subscription(*ALL)) == []
    parts = [f"s3:ObjectCreated:{name}" for name in ("Put", "Post", "Copy", "CompleteMultipartUpload")]
    ends = [
        f"s3:{kind}:{name}"
        for kind in ("ObjectRemoved", "LifecycleExpiration")
        for name in ("Delete", "DeleteMarkerCreated")
    ]
    assert found(subscription(*parts), subscription(*ends)) == []


@pytest.mark.parametrize(
    ("events", "missing", "consequence"),
    [
        (ALL[:2], "s3:LifecycleExpiration:*", "a lifecycle rule expires remain in the index"),
        ((ALL[0], ALL[2]), "s3:ObjectRemoved:*", "deleted objects remain in the index"),
        (
            (*ALL[1:], "s3:ObjectCreated:Put"),
            ", ".join(f"s3:ObjectCreated:{name}" for name in ("Post", "Copy", "CompleteMultipartUpload")),
            "missing in the index",
        ),
        (
            (*ALL[:2], "s3:LifecycleExpiration:Delete"),
            "s3:LifecycleExpiration:DeleteMarkerCreated",
            "remain in the index",
        ),
    ],
)
def test_missing_event_types(events: tuple[str, ...], missing: str, consequence: str) -> None:
    """The finding names the family or the member, and the effect of its absence."""
    (finding,) = found(subscription(*events))
    assert (finding.severity, finding.subject) == ("warning", "bucket lake")
    assert f"does not send {missing}: " in finding.problem
    assert consequence in finding.problem


def test_a_prefix_without_removed_events() -> None:
    """Created events for two prefixes and removed events for one: deleted objects of the other remain in the index."""
    findings = found(
        subscription(*ALL, prefix="logs/"),
        subscription("s3:ObjectCreated:*", "s3:LifecycleExpiration:*", prefix="raw/"),
    )
    texts = [finding.problem for finding in findings]
    gap = "sends s3:ObjectRemoved only for prefix 'logs/', not for prefix 'raw/': there deleted objects remain"
    assert any(text.startswith(gap) for text in texts)
    assert any(text.startswith("sends events only for keys with prefix 'logs/', prefix 'raw/'") for text in texts)
    assert len(texts) == 2


def test_a_wider_filter_covers_a_narrower_one() -> None:
    """Removed events of a shorter prefix cover created events with a longer prefix and a suffix."""
    created = subscription("s3:ObjectCreated:*", prefix="logs/", suffix=".gz")
    findings = found(created, subscription(*ALL[1:], prefix="lo"))
    assert [finding.problem.partition(":")[0] for finding in findings] == [
        "sends events only for keys with prefix 'logs/' and suffix '.gz'"
    ]


def test_a_bucket_that_notifies_another_queue() -> None:
    """Subscriptions of another queue do not count."""
    (finding,) = found(subscription(*ALL, arn=f"{ARN}-old"))
    assert finding.severity == "warning"
    assert "sends no event to any of the queues" in finding.problem


@pytest.mark.parametrize(
    ("more", "carrier"), [({"EventBridgeConfiguration": {}}, "EventBridge"), ({"TopicConfigurations": [{}]}, "SNS")]
)
def test_sns_and_eventbridge_cannot_be_checked(more: dict[str, Any], carrier: str) -> None:
    """The findings become notes, because the check does not read the rules of SNS and EventBridge."""
    (finding,) = found(**more)
    assert (finding.severity, carrier in finding.problem) == ("note", True)
    (partial,) = found(subscription(*ALL[:2]), **more)
    assert (partial.severity, carrier in partial.problem) == ("note", True)


@pytest.mark.parametrize(
    ("code", "words"), [("AccessDenied", "allow s3:GetBucketNotification"), ("NoSuchBucket", "does not exist")]
)
def test_an_unreadable_bucket_is_a_note(code: str, words: str) -> None:
    """The daemon itself needs no permission on buckets."""
    (finding,) = unreadable_findings([UnreadableBucket("lake", code, "")])
    assert finding.severity == "note"
    assert words in finding.sentence


def test_one_cause_is_one_note_with_all_its_buckets() -> None:
    """S3 names the bucket in its answer; that makes it no other cause."""
    denied = "not authorized to perform: s3:GetBucketNotification on resource: arn:aws:s3:::{}"
    buckets = [UnreadableBucket(name, "AccessDenied", denied.format(name)) for name in ("lake", "raw")]
    gone = UnreadableBucket("old", "NoSuchBucket", "")
    alone = UnreadableBucket("far", "EndpointConnectionError", "")
    together, missing, other = unreadable_findings([buckets[0], gone, buckets[1], alone])
    assert (together.subject, missing.subject, other.subject) == ("buckets lake, raw", "bucket old", "bucket far")
    assert denied.format("*") in together.problem
    (single,) = unreadable_findings(buckets[:1])
    assert denied.format("lake") in single.problem


@pytest.mark.parametrize(
    ("subscriptions", "prefix", "lacking"),
    [
        ([subscription(*ALL)], "", None),
        ([subscription("s3:ObjectCreated:*", "s3:ObjectRemoved:*")], "logs/", None),
        ([subscription(*ALL, prefix="logs/")], "logs/2026/", None),
        ([subscription(*ALL, prefix="logs/")], "", "s3:ObjectCreated:* and s3:ObjectRemoved:* for every key"),
        ([subscription(*ALL, suffix=".parquet")], "logs/", "for every key with prefix 'logs/'"),
        ([subscription("s3:ObjectCreated:*")], "", "does not send s3:ObjectRemoved:*"),
        ([subscription(*ALL, arn=f"{ARN}-of-others")], "", "to any of the queues"),
        ([], "", "does not send s3:ObjectCreated:* and s3:ObjectRemoved:* to any of the queues"),
    ],
)
def test_a_job_needs_created_and_removed_events(
    subscriptions: list[dict[str, Any]], prefix: str, lacking: str | None
) -> None:
    """Of every key that it compares; where events may come another way, the gap is not certain."""
    gap = subscription_gap({"QueueConfigurations": subscriptions}, [ARN], prefix)
    assert (gap is None) == (lacking is None)
    if gap and lacking:
        assert lacking in gap.problem
        assert gap.is_certain
        beside = {"QueueConfigurations": subscriptions, "EventBridgeConfiguration": {}}
        doubtful = subscription_gap(beside, [ARN], prefix)
        assert doubtful is not None
        assert not doubtful.is_certain
