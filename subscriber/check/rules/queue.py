"""Rules about a queue's configuration. `attributes` are those of GetQueueAttributes, as text. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import msgspec

from subscriber.check.rules.finding import Finding, Severity
from subscriber.errors import ExitCode
from subscriber.model import EVENT_BYTES_AT_MOST

FEW_RECEIVES = 5
"""With a lower maxReceiveCount, restarts of daemon or database move good messages to the dead-letter queue."""

ENOUGH_RETENTION_SECONDS = 86_400
"""A day: an outage may last that long until somebody fixes it. The default of SQS is four days."""


class Expected(msgspec.Struct, frozen=True):
    """What the settings require of a queue."""

    visibility_seconds: int
    lag_max_seconds: float


def queue_subject(queue: str) -> str:
    """The subject of findings about a queue."""
    return f"queue {queue}"


def queue_findings(queue: str, attributes: Mapping[str, str], visibility_seconds: int) -> list[Finding]:
    """Problems that lose or delay messages with any consumer, errors first."""
    return [*_errors(queue, attributes, visibility_seconds), *_redrive(queue, attributes.get("RedrivePolicy"))]


def settings_findings(queue: str, attributes: Mapping[str, str], expected: Expected) -> Iterator[Finding]:
    """Problems of the queue's configuration with our settings, or with S3."""
    retention = int(attributes.get("MessageRetentionPeriod", ENOUGH_RETENTION_SECONDS))
    enough = max(ENOUGH_RETENTION_SECONDS, 2 * int(expected.lag_max_seconds))
    if expected.visibility_seconds < retention < enough:
        problem = f"keeps messages for {retention} s: a longer outage loses the oldest events"
        yield _found("warning", queue, problem, f"set MessageRetentionPeriod to {enough} or more")
    own = int(attributes.get("VisibilityTimeout", expected.visibility_seconds))
    if own < expected.visibility_seconds:
        problem = (
            f"has a default visibility timeout of {own} s, SUBSCRIBER_RECEIVE_VISIBILITY_SECONDS is "
            f"{expected.visibility_seconds}: the daemon sets its own, but other consumers' messages return earlier"
        )
        yield _found("warning", queue, problem, f"set VisibilityTimeout to {expected.visibility_seconds}")
    delay = int(attributes.get("DelaySeconds", 0))
    if delay:
        yield _found("warning", queue, f"delays every message by {delay} s: that adds lag", "set DelaySeconds to 0")
    if attributes.get("KmsMasterKeyId", "").endswith("alias/aws/sqs"):
        problem = "is encrypted with the AWS managed key for SQS, which S3 and SNS cannot use; its policy is fixed"
        remedy = "use SSE-SQS, or a customer managed key that allows the sender kms:GenerateDataKey and kms:Decrypt"
        yield _found("warning", queue, problem, remedy)


def dead_letter_findings(
    queue: str, attributes: Mapping[str, str], dead_letters: Mapping[str, str]
) -> Iterator[Finding]:
    """Problems of the dead-letter queue's retention.

    A moved message keeps its original enqueue time, so its age does not start again (SQS Developer Guide, "Dead-letter
    queue retention").
    """
    source, dead = (int(each.get("MessageRetentionPeriod", 345_600)) for each in (attributes, dead_letters))
    if dead <= source:
        problem = (
            f"keeps messages for {source} s and its dead-letter queue for {dead} s, both counted from the original "
            "send time: a message that moves late expires at once"
        )
        remedy = "set the dead-letter queue's MessageRetentionPeriod to 1209600, the maximum"
        yield _found("warning", queue, problem, remedy)


def dead_letter_arn(attributes: Mapping[str, str]) -> str | None:
    """The ARN of the dead-letter queue, if the queue has one."""
    policy = attributes.get("RedrivePolicy")
    return str(json.loads(policy).get("deadLetterTargetArn") or "") or None if policy else None


def allows_test_receive(attributes: Mapping[str, str]) -> bool:
    """Whether the redrive policy allows enough receives that one for a test does no harm."""
    policy = attributes.get("RedrivePolicy")
    return not policy or int(json.loads(policy).get("maxReceiveCount", FEW_RECEIVES)) >= FEW_RECEIVES


def _errors(queue: str, attributes: Mapping[str, str], visibility_seconds: int) -> Iterator[Finding]:
    if attributes.get("FifoQueue") == "true":
        problem = (
            "is a FIFO queue. S3 cannot send to one, its order is not needed here (each event has a sequencer), and "
            "its message groups would limit the throughput"
        )
        yield _found("error", queue, problem, "use a standard queue")
    largest = int(attributes.get("MaximumMessageSize", EVENT_BYTES_AT_MOST))
    if largest < EVENT_BYTES_AT_MOST:
        problem = (
            f"accepts messages of {largest} bytes at most, but S3 events may have {EVENT_BYTES_AT_MOST}: larger ones "
            "are lost before they reach the queue"
        )
        yield _found("error", queue, problem, f"set MaximumMessageSize to {EVENT_BYTES_AT_MOST} or more")
    retention = int(attributes.get("MessageRetentionPeriod", ENOUGH_RETENTION_SECONDS))
    if retention <= visibility_seconds:
        problem = (
            f"deletes a message after {retention} s, before a failed one is visible again after "
            f"SUBSCRIBER_RECEIVE_VISIBILITY_SECONDS ({visibility_seconds}): it would be lost"
        )
        yield _found("error", queue, problem, f"set MessageRetentionPeriod to {ENOUGH_RETENTION_SECONDS} or more")


def _redrive(queue: str, policy: str | None) -> Iterator[Finding]:
    if not policy:
        problem = "has no redrive policy: a message that always fails would come back until it expires"
        yield _found("warning", queue, problem, "give it a dead-letter queue with maxReceiveCount 10")
        return
    receives = int(json.loads(policy).get("maxReceiveCount", FEW_RECEIVES))
    if receives < FEW_RECEIVES:
        problem = f"moves messages to its dead-letter queue after {receives} receives: restarts alone may use them up"
        yield _found("warning", queue, problem, f"set maxReceiveCount to {FEW_RECEIVES} or more")


def _found(severity: Severity, queue: str, problem: str, remedy: str) -> Finding:
    return Finding(severity, ExitCode.QUEUE, queue_subject(queue), problem, remedy)
