"""Calls about a dead-letter queue: receive, release, send, delete, and the move tasks of SQS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from subscriber.adapters.sqs.client import Sqs
from subscriber.errors import AwsErrorKind, QueueCallError, aws_error_kind
from subscriber.model import ENTRIES_PER_CALL, MESSAGES_PER_POLL, Lease, Message

WAIT_SECONDS = 1
"""A receive without a wait asks only some of a queue's servers (SQS developer guide, "Short polling")."""

_UNSUPPORTED = frozenset({"InvalidAction", "UnknownOperation", "UnknownOperationException", "UnsupportedOperation"})


class DeadLetter(msgspec.Struct, frozen=True):
    """A message of a dead-letter queue."""

    message: Message
    source_arn: str
    """ARN of the queue it came from (DeadLetterQueueSourceArn); empty where somebody sent it here."""
    attributes: dict[str, Any]
    """Its message attributes, to be sent with it again."""


class MoveTask(msgspec.Struct, frozen=True):
    """One move task of SQS (SQS API reference, ListMessageMoveTasks)."""

    status: str
    """RUNNING, COMPLETED, CANCELLING, CANCELLED or FAILED."""
    moved_messages: int
    total_messages: int
    """At its start, about; 0 if SQS does not say."""
    failure: str
    handle: str
    """Of a running task; empty otherwise."""


class DeadLetterCalls:
    """The calls about dead-letter queue `url`, by the client of its source queue. Each raises QueueCallError."""

    def __init__(self, queues: Sqs, source: str, url: str) -> None:
        self._queues = queues
        self._source = source
        self._url = url

    async def receive(self, visibility_seconds: int, limit: int = MESSAGES_PER_POLL) -> list[DeadLetter]:
        """Receive up to ten messages, invisible to others for so many seconds."""
        answer = await self._call(
            "receive_message",
            QueueUrl=self._url,
            MaxNumberOfMessages=min(limit, MESSAGES_PER_POLL),
            WaitTimeSeconds=WAIT_SECONDS,
            VisibilityTimeout=visibility_seconds,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return [_letter(self._url, raw) for raw in answer.get("Messages", [])]

    async def release(self, handles: Sequence[str]) -> None:
        """Make messages visible again at once; one whose handle has expired is visible already."""
        for start in range(0, len(handles), ENTRIES_PER_CALL):
            entries = [
                {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                for number, handle in enumerate(handles[start : start + ENTRIES_PER_CALL])
            ]
            await self._call("change_message_visibility_batch", QueueUrl=self._url, Entries=entries)

    async def send(self, target: str, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
        """Send at most ten messages to queue `target`; those that it took."""
        entries = [
            {"Id": str(number), "MessageBody": letter.message.body, "MessageAttributes": letter.attributes}
            for number, letter in enumerate(letters)
        ]
        answer = await self._call("send_message_batch", QueueUrl=target, Entries=entries)
        return [letters[int(each["Id"])] for each in answer.get("Successful", [])]

    async def delete(self, letters: Sequence[DeadLetter]) -> int:
        """Delete at most ten messages here; how many are gone."""
        entries = [
            {"Id": str(number), "ReceiptHandle": letter.message.receipt_handle} for number, letter in enumerate(letters)
        ]
        answer = await self._call("delete_message_batch", QueueUrl=self._url, Entries=entries)
        return len(answer.get("Successful", []))

    async def start_move(self, arn: str, per_second: int) -> str | None:
        """Let SQS move all messages to their source queues; None where it cannot, or may not.

        Args:
            arn: of this queue.
            per_second: 1 to 500 (SQS API reference, MaxNumberOfMessagesPerSecond).
        """
        try:
            answer = await self._call("start_message_move_task", SourceArn=arn, MaxNumberOfMessagesPerSecond=per_second)
        except QueueCallError as error:
            if error.code in _UNSUPPORTED or aws_error_kind(error.code) is AwsErrorKind.DENIED:
                return None
            raise
        return str(answer["TaskHandle"])

    async def moves(self, arn: str) -> list[MoveTask]:
        """The last ten tasks of this queue, newest first; none where the service has no tasks."""
        try:
            answer = await self._call("list_message_move_tasks", SourceArn=arn, MaxResults=10)
        except QueueCallError as error:
            if error.code in _UNSUPPORTED:
                return []
            raise
        return [_task(raw) for raw in answer.get("Results", [])]

    async def cancel_move(self, handle: str) -> None:
        """Cancel a running task; what it has moved stays moved."""
        await self._call("cancel_message_move_task", TaskHandle=handle)

    async def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return await self._queues.rare_call(self._source, operation, **parameters)


def _letter(url: str, raw: dict[str, Any]) -> DeadLetter:
    system = raw.get("Attributes", {})
    message = Message(
        queue=url,
        message_id=raw["MessageId"],
        receipt_handle=raw["ReceiptHandle"],
        body=raw.get("Body", ""),
        sent_at=int(system.get("SentTimestamp", 0)) / 1000,
        receive_count=int(system.get("ApproximateReceiveCount", 1)),
        lease=Lease(url, math.inf, set()),
    )
    return DeadLetter(message, system.get("DeadLetterQueueSourceArn", ""), raw.get("MessageAttributes", {}))


def _task(raw: dict[str, Any]) -> MoveTask:
    return MoveTask(
        status=raw["Status"],
        moved_messages=int(raw.get("ApproximateNumberOfMessagesMoved") or 0),
        total_messages=int(raw.get("ApproximateNumberOfMessagesToMove") or 0),
        failure=str(raw.get("FailureReason") or ""),
        handle=str(raw.get("TaskHandle") or ""),
    )
