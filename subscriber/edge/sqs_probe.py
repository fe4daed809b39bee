"""The first look at a queue: does it exist, may we read it, and does its configuration fit?

What would lose or delay messages for sure is refused in one sentence; what may hurt later is a warning. The
judgement is a pure function of the queue's attributes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

import msgspec

from subscriber.edge.sqs import Sqs
from subscriber.errors import QueueCallError, QueueError
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import queue_name

EVENT_BYTES_AT_MOST = 65_536
"""Largest S3 event notification (S3 user guide, "Event message structure")."""

FEW_RECEIVES = 5
"""A redrive policy that allows fewer sends healthy messages away when the daemon or the database restarts."""

_log = get_logger()


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong with a queue."""

    severity: Literal["refused", "warning"]
    text: str


def findings(attributes: Mapping[str, str]) -> list[Finding]:
    """What is wrong with a queue of these attributes, worst first."""
    found: list[Finding] = []
    if attributes.get("FifoQueue") == "true":
        text = (
            "is a FIFO queue. S3 cannot fill one, and the order it keeps is not needed here (each event carries "
            "its own) while its message groups would hold up the line: use a standard queue"
        )
        found.append(Finding("refused", text))
    largest = int(attributes.get("MaximumMessageSize", EVENT_BYTES_AT_MOST))
    if largest < EVENT_BYTES_AT_MOST:
        text = (
            f"takes messages of {largest} bytes at most, but S3 events may have {EVENT_BYTES_AT_MOST}: larger ones "
            f"are lost before we can see them; set MaximumMessageSize to {EVENT_BYTES_AT_MOST} or more"
        )
        found.append(Finding("refused", text))
    found.extend(_redrive_findings(attributes.get("RedrivePolicy")))
    return found


def _redrive_findings(policy: str | None) -> list[Finding]:
    if not policy:
        text = "has no redrive policy: a message that can never be settled would come back until it expires"
        return [Finding("warning", text)]
    receives = int(json.loads(policy).get("maxReceiveCount", FEW_RECEIVES))
    if receives < FEW_RECEIVES:
        text = (
            f"sends messages to its dead-letter queue after {receives} receives: restarts alone may use them up; "
            f"set maxReceiveCount to {FEW_RECEIVES} or more"
        )
        return [Finding("warning", text)]
    return []


async def probe(queues: Sqs, queue: str, visibility_seconds: int) -> None:
    """Look at one queue, log what may hurt.

    Raises:
        QueueError: it cannot be read, or its configuration is refused; the text says what to do.
        QueueCallError: the call failed for a reason that may pass.
    """
    try:
        attributes = await queues.attributes(queue)
    except QueueCallError as error:
        if not error.is_permanent:
            raise
        raise QueueError(f"queue {queue}: {_advice(error)}") from error
    found = findings(attributes)
    refusals = [finding.text for finding in found if finding.severity == "refused"]
    if refusals:
        raise QueueError("\n".join(f"queue {queue} {text}" for text in refusals))
    for finding in found:
        _log.warning("queue.doubted", queue=queue_name(queue), finding=finding.text)
    _log.info(
        "queue.found",
        queue=queue_name(queue),
        waiting=int(attributes.get("ApproximateNumberOfMessages", 0)),
        in_flight=int(attributes.get("ApproximateNumberOfMessagesNotVisible", 0)),
        visibility_seconds=visibility_seconds,
        queue_visibility_seconds=int(attributes.get("VisibilityTimeout", 30)),
    )


def _advice(error: QueueCallError) -> str:
    match error.code:
        case "QueueDoesNotExist" | "InvalidAddress":
            return "does not exist in this account and region; correct SUBSCRIBER_QUEUE_URLS or AWS_REGION"
        case "AccessDenied" | "AccessDeniedException":
            needs = "sqs:GetQueueAttributes, ReceiveMessage, DeleteMessage and ChangeMessageVisibility"
            return f"access denied; the role needs {needs} ({error.detail})"
        case "NoCredentials":
            return "no AWS credentials were found in the environment, profile or container role"
        case _:
            return f"{error.code}: {error.detail}"
