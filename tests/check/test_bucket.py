"""What a bucket's notification configuration leaves out, and what that does to the index."""

from __future__ import annotations

from typing import Any

import pytest

from subscriber.check.rules.bucket import bucket_findings, unreadable_bucket
from subscriber.check.rules.finding import Finding

ARN = "arn:aws:sqs:eu-west-1:123456789012:events"
ALL = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*")


def subscription(*events: str, prefix: str = "", suffix: str = "", arn: str = ARN) -> dict[str, Any]:
    """One entry of QueueConfigurations, written as S3 gives it back (it capitalizes the names of rules)."""
    rules = [{"Name": name, "Value": value} for name, value in (("Prefix", prefix), ("Suffix", suffix)) if value]
    return {"QueueArn": arn, "Events": list(events)} | ({"Filter": {"Key": {"FilterRules": rules}}} if rules else {})


def found(*subscriptions: dict[str, Any], **more: Any) -> list[Finding]:
    """What is wrong where these are all there is."""
    return bucket_findings("lake", {"QueueConfigurations": list(subscriptions)} | more, [ARN])


def test_a_bucket_that_tells_all_has_no_findings() -> None:
    """Families whole or in parts, in one subscription or in several."""
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
        (ALL[:2], "s3:LifecycleExpiration:*", "a lifecycle rule expires stay in the index as ghosts"),
        ((ALL[0], ALL[2]), "s3:ObjectRemoved:*", "deleted stay in the index as ghosts"),
        (
            (*ALL[1:], "s3:ObjectCreated:Put"),
            ", ".join(f"s3:ObjectCreated:{name}" for name in ("Post", "Copy", "CompleteMultipartUpload")),
            "missing from the index",
        ),
        ((*ALL[:2], "s3:LifecycleExpiration:Delete"), "s3:LifecycleExpiration:DeleteMarkerCreated", "ghosts"),
    ],
)
def test_what_is_not_told(events: tuple[str, ...], missing: str, consequence: str) -> None:
    """A family or a member that nobody subscribed is named, with what its absence does."""
    (finding,) = found(subscription(*events))
    assert (finding.severity, finding.subject) == ("warning", "bucket lake")
    assert f"does not tell of {missing}: " in finding.problem
    assert consequence in finding.problem


def test_a_prefix_whose_end_is_not_told() -> None:
    """Objects made under two prefixes and removed under one: the other fills with ghosts."""
    findings = found(
        subscription(*ALL, prefix="logs/"),
        subscription("s3:ObjectCreated:*", "s3:LifecycleExpiration:*", prefix="raw/"),
    )
    texts = [finding.problem for finding in findings]
    gap = "tells of s3:ObjectRemoved only for prefix 'logs/', not for prefix 'raw/': there objects that are deleted"
    assert any(text.startswith(gap) for text in texts)
    assert any(text.startswith("tells only of keys with prefix 'logs/', prefix 'raw/'") for text in texts)
    assert len(texts) == 2


def test_a_wider_filter_covers_a_narrower_one() -> None:
    """What is removed anywhere is told of objects made under a prefix and a suffix too."""
    made = subscription("s3:ObjectCreated:*", prefix="logs/", suffix=".gz")
    findings = found(made, subscription(*ALL[1:], prefix="lo"))
    assert [finding.problem.partition(":")[0] for finding in findings] == [
        "tells only of keys with prefix 'logs/' and suffix '.gz'"
    ]


def test_a_bucket_that_tells_somebody_else() -> None:
    """Subscriptions of another queue do not count."""
    (finding,) = found(subscription(*ALL, arn=f"{ARN}-old"))
    assert finding.severity == "warning"
    assert "sends no event to any of the queues" in finding.problem


@pytest.mark.parametrize(
    ("more", "carrier"), [({"EventBridgeConfiguration": {}}, "EventBridge"), ({"TopicConfigurations": [{}]}, "SNS")]
)
def test_what_comes_by_another_way_cannot_be_judged(more: dict[str, Any], carrier: str) -> None:
    """Behind SNS or EventBridge it is a note: their rules are not ours to read."""
    (finding,) = found(**more)
    assert (finding.severity, carrier in finding.problem) == ("note", True)
    (partial,) = found(subscription(*ALL[:2]), **more)
    assert (partial.severity, carrier in partial.problem) == ("note", True)


@pytest.mark.parametrize(
    ("code", "words"), [("AccessDenied", "allow s3:GetBucketNotification"), ("NoSuchBucket", "does not exist")]
)
def test_what_could_not_be_looked_at_is_said(code: str, words: str) -> None:
    """The daemon needs no right on buckets: not to see them is a note."""
    finding = unreadable_bucket("lake", code, "")
    assert finding.severity == "note"
    assert words in finding.sentence
