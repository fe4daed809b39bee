"""The operations on messages: each takes a request and returns an answer, without waiting and without I/O.

A ReceiveMessage that finds no message and may wait returns a `Poll`; polls.py keeps it until it can be answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import NoReturn, TypeAlias, TypeVar

import msgspec

from testkit.sqs import errors, limits, shapes
from testkit.sqs.account import Account
from testkit.sqs.audit_log import AuditLog
from testkit.sqs.faults import Faults
from testkit.sqs.message import StoredMessage
from testkit.sqs.store import Queue

EntryT = TypeVar("EntryT", bound=limits.Entry)

SENDER_ID = "TESTKIT"

SYSTEM_ATTRIBUTES: dict[str, Callable[[StoredMessage], str | None]] = {
    "SenderId": lambda _message: SENDER_ID,
    "SentTimestamp": attrgetter("sent_at"),
    "ApproximateReceiveCount": lambda message: str(message.receive_count),
    "ApproximateFirstReceiveTimestamp": attrgetter("first_received_at"),
    "MessageGroupId": attrgetter("group_id"),
    "DeadLetterQueueSourceArn": attrgetter("source_arn"),
}
"""The system attributes that a receiver may request; one that is None is left out."""

_NEVER_SET = frozenset({"SequenceNumber", "MessageDeduplicationId", "AWSTraceHeader"})
"""System attributes of the service that no message of the emulator has."""


class Poll(msgspec.Struct, frozen=True, gc=False):
    """A validated ReceiveMessage, which can be retried when a message arrives."""

    queue: Queue
    limit: int
    visibility_seconds: int
    wait_seconds: int
    attributes: tuple[tuple[str, Callable[[StoredMessage], str | None]], ...]
    """The requested system attributes: name, and the function that reads it."""


class MessageOperations:
    """The operations on messages."""

    def __init__(self, account: Account, faults: Faults, audit_log: AuditLog) -> None:
        self._account = account
        self._faults = faults
        self._audit_log = audit_log

    def send(self, request: shapes.SendMessageRequest, now: float) -> shapes.SentAnswer:
        """SendMessage."""
        return _send(self._account.at(request.queue_url), request, now)

    def send_batch(self, request: shapes.BatchRequest[shapes.SendEntry], now: float) -> shapes.BatchAnswer:
        """SendMessageBatch."""
        queue = self._account.at(request.queue_url)
        limits.check_batch(request.entries)
        limits.check_batch_bytes(entry.message_body for entry in request.entries)

        def send_entry(entry: shapes.SendEntry) -> shapes.SentAnswer:
            answer = _send(queue, entry, now)
            answer.id = entry.id
            return answer

        return _each(request.entries, send_entry)

    def receive(self, request: shapes.ReceiveMessageRequest, now: float) -> shapes.ReceiveAnswer | Poll:
        """ReceiveMessage."""
        queue = self._account.at(request.queue_url)
        poll = _checked_poll(queue, request)
        answer = self.try_poll(poll, now)
        if answer is not None:
            return answer
        if poll.wait_seconds > 0:
            return poll
        if queue.is_over_limit(now):
            raise errors.OVER_LIMIT.because("Too many messages are in flight.")
        return shapes.ReceiveAnswer()

    def try_poll(self, poll: Poll, now: float) -> shapes.ReceiveAnswer | None:
        """The messages that the queue has for the poll now, or None."""
        faults, queue = self._faults, poll.queue
        taken = queue.receive(poll.limit, faults.visibility_seconds(poll.visibility_seconds), now)
        if taken.dead:
            self._account.move_to_dead_letter_queue(queue, taken.dead)
        received = faults.delivered(queue, taken.received, now)
        if not received:
            return None
        self._audit_log.received(queue.name, received)
        answer = shapes.ReceiveAnswer([_received(poll, message) for message in received])
        faults.redeliver(queue, received, now)
        return answer

    def delete(self, request: shapes.DeleteMessageRequest, now: float) -> shapes.Nothing:
        """DeleteMessage."""
        queue = self._account.at(request.queue_url)
        queue.delete(request.receipt_handle or _missing("ReceiptHandle"), now)
        return shapes.Nothing()

    def delete_batch(self, request: shapes.BatchRequest[shapes.DeleteEntry], now: float) -> shapes.BatchAnswer:
        """DeleteMessageBatch."""
        queue = self._account.at(request.queue_url)
        limits.check_batch(request.entries)

        def delete_entry(entry: shapes.DeleteEntry) -> shapes.EntryAnswer:
            self._faults.fail_entry()
            if not self._faults.forgets_delete():
                queue.delete(entry.receipt_handle or _missing("ReceiptHandle"), now)
            return shapes.EntryAnswer(entry.id)

        return _each(request.entries, delete_entry)

    def change_visibility(self, request: shapes.ChangeMessageVisibilityRequest, now: float) -> shapes.Nothing:
        """ChangeMessageVisibility."""
        queue = self._account.at(request.queue_url)
        _change_visibility(queue, request.receipt_handle, request.visibility_timeout, now)
        return shapes.Nothing()

    def change_visibility_batch(
        self, request: shapes.BatchRequest[shapes.VisibilityEntry], now: float
    ) -> shapes.BatchAnswer:
        """ChangeMessageVisibilityBatch."""
        queue = self._account.at(request.queue_url)
        limits.check_batch(request.entries)

        def change_entry(entry: shapes.VisibilityEntry) -> shapes.EntryAnswer:
            self._faults.fail_entry()
            _change_visibility(queue, entry.receipt_handle, entry.visibility_timeout, now)
            return shapes.EntryAnswer(entry.id)

        return _each(request.entries, change_entry)


_Answer: TypeAlias = shapes.SentAnswer | shapes.EntryAnswer


def _each(entries: Sequence[EntryT], act: Callable[[EntryT], _Answer]) -> shapes.BatchAnswer:
    answer = shapes.BatchAnswer([], [])
    for entry in entries:
        try:
            answer.successful.append(act(entry))
        except errors.RejectedError as error:
            code = error.fault.query_code.removeprefix(errors.LEGACY)
            is_senders = error.fault.status < 500
            answer.failed.append(shapes.EntryFailure(entry.id, is_senders, code, error.message))
    return answer


def _send(queue: Queue, outgoing: shapes.Outgoing, now: float) -> shapes.SentAnswer:
    if outgoing.message_attributes or outgoing.message_system_attributes:
        raise errors.UNSUPPORTED_OPERATION.because("This SQS emulator keeps no message attributes.")
    limits.check_body(outgoing.message_body, queue.attributes.max_message_bytes)
    if outgoing.delay_seconds is not None:
        limits.check_range("DelaySeconds", outgoing.delay_seconds, 0, limits.MAX_DELAY_SECONDS)
    message = queue.send(
        outgoing.message_body,
        now,
        delay_seconds=outgoing.delay_seconds,
        group_id=outgoing.message_group_id,
    )
    return shapes.SentAnswer(message.message_id, message.body_md5)


def _checked_poll(queue: Queue, request: shapes.ReceiveMessageRequest) -> Poll:
    attributes = queue.attributes
    visibility = request.visibility_timeout
    wait = request.wait_time_seconds
    return Poll(
        queue=queue,
        limit=limits.check_range("MaxNumberOfMessages", request.max_number_of_messages, 1, 10),
        visibility_seconds=attributes.visibility_timeout_seconds
        if visibility is None
        else limits.check_range("VisibilityTimeout", visibility, 0, limits.MAX_VISIBILITY_SECONDS),
        wait_seconds=attributes.receive_wait_seconds
        if wait is None
        else limits.check_range("WaitTimeSeconds", wait, 0, limits.MAX_WAIT_SECONDS),
        attributes=tuple((name, SYSTEM_ATTRIBUTES[name]) for name in _attribute_names(request)),
    )


def _attribute_names(request: shapes.ReceiveMessageRequest) -> tuple[str, ...]:
    asked = dict.fromkeys((*request.message_system_attribute_names, *request.attribute_names))
    if "All" in asked:
        return tuple(SYSTEM_ATTRIBUTES)
    for name in asked:
        if name not in SYSTEM_ATTRIBUTES and name not in _NEVER_SET:
            raise errors.INVALID_ATTRIBUTE_NAME.because(f"Unknown Attribute {name}.")
    return tuple(name for name in asked if name in SYSTEM_ATTRIBUTES)


def _received(poll: Poll, message: StoredMessage) -> shapes.ReceivedMessage:
    attributes = {name: text for name, read in poll.attributes if (text := read(message)) is not None}
    return shapes.ReceivedMessage(
        message.message_id, poll.queue.handle_of(message), message.body_md5, message.body, attributes
    )


def _change_visibility(queue: Queue, handle: str, seconds: int | None, now: float) -> None:
    if seconds is None:
        _missing("VisibilityTimeout")
    limits.check_range("VisibilityTimeout", seconds, 0, limits.MAX_VISIBILITY_SECONDS)
    queue.change_visibility(handle or _missing("ReceiptHandle"), seconds, now)


def _missing(parameter: str) -> NoReturn:
    raise errors.MISSING_PARAMETER.because(f"The request must contain the parameter {parameter}.")
