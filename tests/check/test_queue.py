"""Findings about a queue's attributes, one mistake at a time."""

from __future__ import annotations

import json

import pytest

from subscriber.check.rules.finding import Finding
from subscriber.check.rules.policy import buckets_in, sender_findings
from subscriber.check.rules.queue import (
    Expected,
    allows_test_receive,
    dead_letter_findings,
    queue_findings,
    settings_findings,
)

QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/events"
GOOD = {
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "VisibilityTimeout": "300",
    "DelaySeconds": "0",
    "RedrivePolicy": json.dumps(
        {"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:123456789012:dead", "maxReceiveCount": 10}
    ),
}
EXPECTED = Expected(visibility_seconds=300, lag_max_seconds=300)


def found(**changed: str) -> list[Finding]:
    """All findings of a good queue with these attributes changed."""
    attributes = GOOD | changed
    errors = queue_findings(QUEUE, attributes, EXPECTED.visibility_seconds)
    return [*errors, *settings_findings(QUEUE, attributes, EXPECTED)]


def test_a_good_queue_has_no_findings() -> None:
    """Large messages, a sufficient maxReceiveCount, days of retention."""
    assert found() == []


@pytest.mark.parametrize(
    ("changed", "severity", "words"),
    [
        ({"FifoQueue": "true"}, "error", "use a standard queue"),
        ({"MaximumMessageSize": "65535"}, "error", "set MaximumMessageSize to 65536 or more"),
        ({"MessageRetentionPeriod": "300"}, "error", "deletes a message after 300 s"),
        ({"MessageRetentionPeriod": "86399"}, "warning", "set MessageRetentionPeriod to 86400 or more"),
        ({"VisibilityTimeout": "30"}, "warning", "set VisibilityTimeout to 300"),
        ({"DelaySeconds": "5"}, "warning", "set DelaySeconds to 0"),
        ({"RedrivePolicy": ""}, "warning", "no redrive policy"),
        ({"RedrivePolicy": '{"maxReceiveCount":"2"}'}, "warning", "set maxReceiveCount to 5 or more"),
        ({"KmsMasterKeyId": "alias/aws/sqs"}, "warning", "use SSE-SQS, or a customer managed key"),
    ],
)
def test_each_mistake_is_found_alone(changed: dict[str, str], severity: str, words: str) -> None:
    """One finding with severity and remedy, in one line that names the queue."""
    (finding,) = found(**changed)
    assert finding.severity == severity
    assert words in finding.sentence
    assert finding.sentence.startswith(f"queue {QUEUE}: ")
    assert "\n" not in finding.sentence


def test_retention_must_exceed_the_allowed_lag() -> None:
    """A LAG_MAX_SECONDS of days needs a longer retention."""
    (finding,) = settings_findings(QUEUE, GOOD, Expected(300, 345_600))
    assert "set MessageRetentionPeriod to 691200 or more" in finding.remedy


@pytest.mark.parametrize(("retention", "count"), [("345600", 1), ("345601", 0), ("1209600", 0)])
def test_dead_letters_need_a_longer_retention(retention: str, count: int) -> None:
    """Retention counts from the original send time, so that of the dead-letter queue must be longer."""
    assert len(list(dead_letter_findings(QUEUE, GOOD, {"MessageRetentionPeriod": retention}))) == count


def test_a_receive_is_tested_only_if_it_does_no_harm() -> None:
    """With a low maxReceiveCount the check receives no message."""
    policies = ["", '{"maxReceiveCount":10}', '{"maxReceiveCount":"4"}', '{"maxReceiveCount":1}']
    assert [allows_test_receive({"RedrivePolicy": policy}) for policy in policies] == [True, True, False, False]


def policy(*statements: object) -> str:
    """A queue policy as GetQueueAttributes returns it."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


S3_MAY_SEND = {
    "Effect": "Allow",
    "Principal": {"Service": "s3.amazonaws.com"},
    "Action": "SQS:SendMessage",
    "Resource": "*",
    "Condition": {
        "ArnLike": {"aws:SourceArn": ["arn:aws:s3:::lake", "arn:aws:s3:::raw-*"]},
        "StringEquals": {"aws:SourceAccount": "123456789012"},
    },
}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (policy(S3_MAY_SEND), 0),
        (policy(S3_MAY_SEND | {"Principal": {"Service": ["events.amazonaws.com"]}}), 0),
        (policy(S3_MAY_SEND | {"Principal": "*", "Action": ["sqs:*"]}), 0),
        (policy(S3_MAY_SEND | {"Principal": {"AWS": "*"}}), 0),
        (policy(S3_MAY_SEND | {"Effect": "Deny"}), 1),
        (policy(S3_MAY_SEND | {"Action": "sqs:ReceiveMessage"}), 1),
        (policy(S3_MAY_SEND | {"Principal": {"Service": "lambda.amazonaws.com"}}), 1),
        (None, 1),
        ("no JSON", 1),
    ],
)
def test_a_sender_must_be_allowed(text: str | None, count: int) -> None:
    """If the policy allows none of S3, SNS and EventBridge, no event arrives."""
    assert len(list(sender_findings(QUEUE, text))) == count


def test_a_policy_names_buckets() -> None:
    """Full names in conditions on the source; patterns and Deny statements do not count."""
    denied = S3_MAY_SEND | {"Effect": "Deny", "Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::other"}}}
    assert buckets_in(policy(S3_MAY_SEND, denied)) == {"lake"}
    assert buckets_in(None) == set()
