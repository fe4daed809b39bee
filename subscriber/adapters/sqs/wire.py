"""Encodes requests and decodes responses of three SQS operations (shapes of the SQS API reference)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from subscriber.errors import QueueCallError
from subscriber.model import ENTRIES_PER_CALL, MESSAGES_PER_POLL, BatchAnswer, Lease, Message

RECEIVE_TARGET = "AmazonSQS.ReceiveMessage"
DELETE_TARGET = "AmazonSQS.DeleteMessageBatch"
VISIBILITY_TARGET = "AmazonSQS.ChangeMessageVisibilityBatch"


class _Attributes(msgspec.Struct, gc=False):
    sent_milliseconds: str = msgspec.field(default="", name="SentTimestamp")
    receive_count: str = msgspec.field(default="1", name="ApproximateReceiveCount")


class _RawMessage(msgspec.Struct, gc=False):
    message_id: str = msgspec.field(name="MessageId")
    receipt_handle: str = msgspec.field(name="ReceiptHandle")
    body: str = msgspec.field(default="", name="Body")
    attributes: _Attributes = msgspec.field(default_factory=_Attributes, name="Attributes")


class _Received(msgspec.Struct, gc=False):
    messages: list[_RawMessage] = msgspec.field(default_factory=list, name="Messages")


class _Done(msgspec.Struct, gc=False):
    id: str = msgspec.field(name="Id")


class _Failed(msgspec.Struct, gc=False):
    id: str = msgspec.field(name="Id")
    code: str = msgspec.field(default="Unknown", name="Code")


class _BatchResult(msgspec.Struct, gc=False):
    done: list[_Done] = msgspec.field(default_factory=list, name="Successful")
    failed: list[_Failed] = msgspec.field(default_factory=list, name="Failed")


_RECEIVED = msgspec.json.Decoder(_Received)
_BATCH_RESULT = msgspec.json.Decoder(_BatchResult)
_ENCODER = msgspec.json.Encoder()
_IDS = [str(position) for position in range(ENTRIES_PER_CALL)]


def receive_body(queue: str, wait_seconds: int, visibility_seconds: int, messages: int = MESSAGES_PER_POLL) -> bytes:
    """The body of ReceiveMessage; the same for every poll of a queue."""
    return _ENCODER.encode(
        {
            "QueueUrl": queue,
            "MaxNumberOfMessages": messages,
            "WaitTimeSeconds": wait_seconds,
            "VisibilityTimeout": visibility_seconds,
            "MessageSystemAttributeNames": ["SentTimestamp", "ApproximateReceiveCount"],
        }
    )


def delete_body(queue: str, handles: Sequence[str]) -> bytes:
    """The body of DeleteMessageBatch; ids are positions, since a handle may occur twice."""
    entries = [{"Id": _IDS[position], "ReceiptHandle": handle} for position, handle in enumerate(handles)]
    return _ENCODER.encode({"QueueUrl": queue, "Entries": entries})


def visibility_body(queue: str, entries: Sequence[tuple[str, int]]) -> bytes:
    """The body of ChangeMessageVisibilityBatch."""
    raw = [
        {"Id": _IDS[position], "ReceiptHandle": handle, "VisibilityTimeout": seconds}
        for position, (handle, seconds) in enumerate(entries)
    ]
    return _ENCODER.encode({"QueueUrl": queue, "Entries": raw})


def messages_in(answer: bytes, lease: Lease, now: float, server_ahead_seconds: float = 0.0) -> list[Message]:
    """The messages of a ReceiveMessage response, with the lease of their poll.

    Args:
        answer: the response.
        lease: of the poll.
        now: Unix seconds, for a missing SentTimestamp.
        server_ahead_seconds: how far the clock of SQS is ahead of ours: the age of a message is measured by one clock.

    Raises:
        QueueCallError: the response is malformed.
    """
    try:
        received = _RECEIVED.decode(answer)
        return [
            Message(
                queue=lease.queue,
                message_id=raw.message_id,
                receipt_handle=raw.receipt_handle,
                body=raw.body,
                sent_at=int(sent) / 1000 - server_ahead_seconds if (sent := raw.attributes.sent_milliseconds) else now,
                receive_count=int(raw.attributes.receive_count),
                lease=lease,
            )
            for raw in received.messages
        ]
    except (ValueError, RecursionError) as error:
        raise QueueCallError("UnreadableAnswer", str(error)) from error


def batch_answer(answer: bytes, entries: int) -> BatchAnswer:
    """The results of the entries of a batch call, of which `entries` were sent.

    Raises:
        QueueCallError: the response is malformed, or names an entry that was not sent.
    """
    try:
        result = _BATCH_RESULT.decode(answer)
        if not result.failed and [entry.id for entry in result.done] == _IDS[:entries]:
            return BatchAnswer(done=tuple(range(entries)))  # nearly always: all of them, in the order of the request
        done = tuple(int(entry.id) for entry in result.done)
        failed = tuple((int(entry.id), entry.code) for entry in result.failed)
    except (ValueError, RecursionError) as error:
        raise QueueCallError("UnreadableAnswer", str(error)) from error
    unknown = {*done, *(position for position, _ in failed)} - set(range(entries))
    if unknown:
        raise QueueCallError("UnreadableAnswer", f"it names entry {min(unknown)}, but {entries} were sent")
    return BatchAnswer(done=done, failed=failed)
