"""What a queue's own configuration does to the daemon. Attributes are those of GetQueueAttributes, as text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import msgspec

from subscriber.check.rules.finding import Finding, Severity
from subscriber.errors import ExitCode

EVENT_BYTES_AT_MOST = 65_536
"""Largest S3 event notification (S3 user guide, "Event message structure")."""

FEW_RECEIVES = 5
"""A redrive policy that allows fewer sends healthy messages away when the daemon or the database restarts."""

ENOUGH_RETENTION_SECONDS = 86_400
"""A night and a morning: what an outage may last until somebody mends it. SQS's own default is four days."""


class Expected(msgspec.Struct, frozen=True):
    """What the settings ask of a queue."""

    visibility_seconds: int
    lag_max_seconds: float


def queue_subject(queue: str) -> str:
    """How findings name a queue."""
    return f"queue {queue}"


def queue_findings(queue: str, attributes: Mapping[str, str], visibility_seconds: int) -> list[Finding]:
    """What would lose or delay messages, whoever reads the queue: errors first."""
    return [*_errors(queue, attributes, visibility_seconds), *_redrive(queue, attributes.get("RedrivePolicy"))]


def fit_findings(queue: str, attributes: Mapping[str, str], wishes: Expected) -> Iterator[Finding]:
    """What does not go well with the settings, or with S3."""
    retention = int(attributes.get("MessageRetentionPeriod", ENOUGH_RETENTION_SECONDS))
    enough = max(ENOUGH_RETENTION_SECONDS, 2 * int(wishes.lag_max_seconds))
    if wishes.visibility_seconds < retention < enough:
        problem = f"keeps messages for {retention} s: of an outage that lasts longer, the first events are lost"
        yield _found("warning", queue, problem, f"set MessageRetentionPeriod to {enough} or more")
    own = int(attributes.get("VisibilityTimeout", wishes.visibility_seconds))
    if own < wishes.visibility_seconds:
        problem = (
            f"hides messages for {own} s by default, SUBSCRIBER_RECEIVE_VISIBILITY_SECONDS is "
            f"{wishes.visibility_seconds}: the daemon asks for its own, but what others receive comes to it too soon"
        )
        yield _found("warning", queue, problem, f"set VisibilityTimeout to {wishes.visibility_seconds}")
    delay = int(attributes.get("DelaySeconds", 0))
    if delay:
        yield _found("warning", queue, f"delays every message by {delay} s, which is lag", "set DelaySeconds to 0")
    if attributes.get("KmsMasterKeyId", "").endswith("alias/aws/sqs"):
        problem = "is encrypted with AWS's own key for SQS, which lets neither S3 nor SNS in and cannot be changed"
        remedy = "use SSE-SQS, or a key of your own that allows the sender kms:GenerateDataKey and kms:Decrypt"
        yield _found("warning", queue, problem, remedy)


def dead_letter_findings(
    queue: str, attributes: Mapping[str, str], dead_letters: Mapping[str, str]
) -> Iterator[Finding]:
    """What the dead-letter queue would lose.

    A message keeps the time it was sent at when it moves, so it is as old there as it was before (SQS developer
    guide, "Dead-letter queue retention").
    """
    source, dead = (int(each.get("MessageRetentionPeriod", 345_600)) for each in (attributes, dead_letters))
    if dead <= source:
        problem = (
            f"keeps messages for {source} s and its dead-letter queue for {dead} s, counted from their sending: a "
            "message that moves late is gone at once"
        )
        remedy = "set the dead-letter queue's MessageRetentionPeriod to 1209600, the most there is"
        yield _found("warning", queue, problem, remedy)


def dead_letter_arn(attributes: Mapping[str, str]) -> str | None:
    """Where messages go that were received too often."""
    policy = attributes.get("RedrivePolicy")
    return str(json.loads(policy).get("deadLetterTargetArn") or "") or None if policy else None


def may_lose_a_receive(attributes: Mapping[str, str]) -> bool:
    """Whether a receive for a test costs no message its place: every one counts towards the redrive policy."""
    policy = attributes.get("RedrivePolicy")
    return not policy or int(json.loads(policy).get("maxReceiveCount", FEW_RECEIVES)) >= FEW_RECEIVES


def _errors(queue: str, attributes: Mapping[str, str], visibility_seconds: int) -> Iterator[Finding]:
    if attributes.get("FifoQueue") == "true":
        problem = (
            "is a FIFO queue. S3 cannot fill one, and the order it keeps is not needed here (each event carries "
            "its own) while its message groups would hold up the line"
        )
        yield _found("error", queue, problem, "use a standard queue")
    largest = int(attributes.get("MaximumMessageSize", EVENT_BYTES_AT_MOST))
    if largest < EVENT_BYTES_AT_MOST:
        problem = (
            f"takes messages of {largest} bytes at most, but S3 events may have {EVENT_BYTES_AT_MOST}: larger ones "
            "are lost before we can see them"
        )
        yield _found("error", queue, problem, f"set MaximumMessageSize to {EVENT_BYTES_AT_MOST} or more")
    retention = int(attributes.get("MessageRetentionPeriod", ENOUGH_RETENTION_SECONDS))
    if retention <= visibility_seconds:
        problem = (
            f"forgets a message after {retention} s, before one that failed is shown again after "
            f"SUBSCRIBER_RECEIVE_VISIBILITY_SECONDS ({visibility_seconds}): it would be lost"
        )
        yield _found("error", queue, problem, f"set MessageRetentionPeriod to {ENOUGH_RETENTION_SECONDS} or more")


def _redrive(queue: str, policy: str | None) -> Iterator[Finding]:
    if not policy:
        problem = "has no redrive policy: a message that can never be settled would come back until it expires"
        yield _found("warning", queue, problem, "give it a dead-letter queue with maxReceiveCount 10")
        return
    receives = int(json.loads(policy).get("maxReceiveCount", FEW_RECEIVES))
    if receives < FEW_RECEIVES:
        problem = f"sends messages to its dead-letter queue after {receives} receives: restarts alone may use them up"
        yield _found("warning", queue, problem, f"set maxReceiveCount to {FEW_RECEIVES} or more")


def _found(severity: Severity, queue: str, problem: str, remedy: str) -> Finding:
    return Finding(severity, ExitCode.QUEUE, queue_subject(queue), problem, remedy)
