"""What three calls of SQS say and are answered, as bytes: shapes of the SQS API reference, and nothing else of it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from subscriber.errors import QueueCallError
from subscriber.model import BatchAnswer, Lease, Message

RECEIVE_TARGET = "AmazonSQS.ReceiveMessage"
DELETE_TARGET = "AmazonSQS.DeleteMessageBatch"
VISIBILITY_TARGET = "AmazonSQS.ChangeMessageVisibilityBatch"

MESSAGES_PER_CALL = 10
"""Entries of a batch call, and the most one receive may return (SQS API reference)."""


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


class _Settled(msgspec.Struct, gc=False):
    done: list[_Done] = msgspec.field(default_factory=list, name="Successful")
    failed: list[_Failed] = msgspec.field(default_factory=list, name="Failed")


_RECEIVED = msgspec.json.Decoder(_Received)
_SETTLED = msgspec.json.Decoder(_Settled)
_ENCODER = msgspec.json.Encoder()


def receive_body(queue: str, wait_seconds: int, visibility_seconds: int, messages: int = MESSAGES_PER_CALL) -> bytes:
    """A ReceiveMessage call; the same for every poll of a queue."""
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
    """A DeleteMessageBatch call; ids are positions, since one message may be there twice."""
    entries = [{"Id": str(position), "ReceiptHandle": handle} for position, handle in enumerate(handles)]
    return _ENCODER.encode({"QueueUrl": queue, "Entries": entries})


def visibility_body(queue: str, entries: Sequence[tuple[str, int]]) -> bytes:
    """A ChangeMessageVisibilityBatch call."""
    raw = [
        {"Id": str(position), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
        for position, (handle, seconds) in enumerate(entries)
    ]
    return _ENCODER.encode({"QueueUrl": queue, "Entries": raw})


def messages_in(answer: bytes, lease: Lease, now: float) -> list[Message]:
    """The messages of a ReceiveMessage answer, under the lease of their poll; sent `now` where it does not say when.

    Raises:
        QueueCallError: the answer is none of ReceiveMessage's.
    """
    try:
        received = _RECEIVED.decode(answer)
        return [
            Message(
                queue=lease.queue,
                message_id=raw.message_id,
                receipt_handle=raw.receipt_handle,
                body=raw.body,
                sent_at=int(raw.attributes.sent_milliseconds) / 1000 if raw.attributes.sent_milliseconds else now,
                receive_count=int(raw.attributes.receive_count),
                lease=lease,
            )
            for raw in received.messages
        ]
    except (ValueError, RecursionError) as error:
        raise QueueCallError("UnreadableAnswer", str(error)) from error


def batch_answer(answer: bytes, entries: int) -> BatchAnswer:
    """What a batch call says of its entries, of which there were so many.

    Raises:
        QueueCallError: the answer is none of a batch call's, or speaks of entries that it was not asked about.
    """
    try:
        settled = _SETTLED.decode(answer)
        done = tuple(int(entry.id) for entry in settled.done)
        failed = tuple((int(entry.id), entry.code) for entry in settled.failed)
    except (ValueError, RecursionError) as error:
        raise QueueCallError("UnreadableAnswer", str(error)) from error
    strangers = {*done, *(position for position, _ in failed)} - set(range(entries))
    if strangers:
        raise QueueCallError("UnreadableAnswer", f"it speaks of entry {min(strangers)}, and {entries} were sent")
    return BatchAnswer(done=done, failed=failed)
