"""Turns an HTTP request into its answer: signature, target, shape, operation.

It never waits: the answer is sent at once, or the request becomes a poll that polls.py answers later.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from testkit.signature import SignatureChecker, SignedRequest
from testkit.sqs import errors, shapes
from testkit.sqs.account import Account
from testkit.sqs.admin_operations import AdminOperations
from testkit.sqs.audit_log import AuditLog
from testkit.sqs.faults import Faults
from testkit.sqs.move_tasks import MoveTasks
from testkit.sqs.operations import MessageOperations, Poll
from testkit.sqs.polls import Polls, WaitingPoll
from testkit.sqs.queue_operations import QueueOperations

LOG = logging.getLogger(__name__)

TARGET_PREFIX = "AmazonSQS."
ADMIN_PREFIX = "QueueAdmin."
"""Prefix of the targets of admin operations, which the real service does not have."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """An answer to send."""

    body: bytes
    fault: errors.Fault | None = None
    served_at: float | None = None
    """Unix seconds for the Date header, by the clock that signatures are checked against: a client with a skewed clock
    corrects itself by that of a rejection. None: now."""
    is_lost: bool = False
    """Whether to drop the connection instead of sending the answer."""


Send: TypeAlias = Callable[[Answer], None]


class _Operation(msgspec.Struct, frozen=True):
    decoder: msgspec.json.Decoder[Any]
    act: Callable[[Any, float], msgspec.Struct]


class MonotonicClock:
    """Unix seconds that never go back: the wall clock is read once, then the monotonic clock is added."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def __call__(self) -> float:
        """The current time."""
        return time.monotonic() + self._offset


class Service:
    """The queue service without HTTP."""

    def __init__(
        self,
        account: Account,
        checker: SignatureChecker,
        clock: Callable[[], float],
        audit_log: AuditLog | None = None,
    ) -> None:
        audit_log = audit_log or AuditLog(is_enabled=False)
        self._faults = Faults()
        messages = MessageOperations(account, self._faults, audit_log)
        admin = AdminOperations(account, checker, self._faults, audit_log)
        self._checker = checker
        self._clock = clock
        self._polls = Polls(messages, clock)
        self._encoder = msgspec.json.Encoder()
        self._operations = (
            _table(QueueOperations(account), messages) | _moves_table(MoveTasks(account)) | _admin_table(admin)
        )

    def answer(self, request: SignedRequest, send: Send) -> WaitingPoll | None:
        """Answer the request through `send`, at once or, if a waiting poll is returned, later.

        `send` is called exactly once, unless the caller makes the waiting poll leave.
        """
        moment, ahead = time.time(), self._faults.plan.clock_offset_seconds
        try:
            if self._checker.check(request, moment, ahead):
                send = self._faulty(send)
            now = self._clock()
            operation = self._operation(request.headers.get(b"x-amz-target", b"").decode("latin-1"))
            result = operation.act(_decoded(operation.decoder, request.body), now)
        except errors.RejectedError as error:
            send(Answer(errors.fault_body(error), error.fault, moment + ahead))
            return None
        except Exception:
            LOG.exception("the SQS emulator failed on a request")
            failure = errors.INTERNAL_FAILURE.because("The SQS emulator failed; see its log.")
            send(Answer(errors.fault_body(failure), failure.fault))
            return None
        if isinstance(result, Poll):
            return self._polls.wait(result, lambda answer: send(Answer(self._encoder.encode(answer))))
        send(Answer(self._encoder.encode(result)))
        self._polls.serve()
        return None

    def _faulty(self, send: Send) -> Send:
        """Inject faults into a call: reject it, delay its answer, or drop its answer."""
        self._faults.fail_call()
        is_lost = self._faults.loses_answer()

        def send_in_time(answer: Answer) -> None:
            given = msgspec.structs.replace(answer, is_lost=True) if is_lost else answer
            self._faults.later(asyncio.get_running_loop().call_later, lambda: send(given))

        return send_in_time

    def _operation(self, target: str) -> _Operation:
        operation = self._operations.get(target)
        if operation is not None:
            return operation
        raise errors.UNKNOWN_OPERATION.because(f"The SQS emulator does not implement '{target}'.")


def _decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:
        raise errors.MALFORMED_INPUT.because(str(error)) from error


def _table(queues: QueueOperations, messages: MessageOperations) -> dict[str, _Operation]:
    """Target to operation, for all operations of the service."""
    batch = shapes.BatchRequest
    operations: list[tuple[str, Any, Callable[[Any, float], msgspec.Struct]]] = [
        ("CreateQueue", shapes.CreateQueueRequest, queues.create),
        ("DeleteQueue", shapes.QueueRequest, queues.delete),
        ("GetQueueUrl", shapes.GetQueueUrlRequest, queues.url),
        ("ListQueues", shapes.ListQueuesRequest, queues.list),
        ("GetQueueAttributes", shapes.GetQueueAttributesRequest, queues.attributes),
        ("SetQueueAttributes", shapes.SetQueueAttributesRequest, queues.set_attributes),
        ("PurgeQueue", shapes.QueueRequest, queues.purge),
        ("SendMessage", shapes.SendMessageRequest, messages.send),
        ("SendMessageBatch", batch[shapes.SendEntry], messages.send_batch),
        ("ReceiveMessage", shapes.ReceiveMessageRequest, messages.receive),
        ("DeleteMessage", shapes.DeleteMessageRequest, messages.delete),
        ("DeleteMessageBatch", batch[shapes.DeleteEntry], messages.delete_batch),
        ("ChangeMessageVisibility", shapes.ChangeMessageVisibilityRequest, messages.change_visibility),
        ("ChangeMessageVisibilityBatch", batch[shapes.VisibilityEntry], messages.change_visibility_batch),
    ]
    return {TARGET_PREFIX + name: _Operation(msgspec.json.Decoder(shape), act) for name, shape, act in operations}


def _moves_table(moves: MoveTasks) -> dict[str, _Operation]:
    """Target to operation, for the move tasks of dead-letter queues."""
    operations: list[tuple[str, Any, Callable[[Any, float], msgspec.Struct]]] = [
        ("StartMessageMoveTask", shapes.StartMoveRequest, moves.start),
        ("ListMessageMoveTasks", shapes.ListMovesRequest, moves.list),
        ("CancelMessageMoveTask", shapes.MoveHandle, moves.cancel),
    ]
    return {TARGET_PREFIX + name: _Operation(msgspec.json.Decoder(shape), act) for name, shape, act in operations}


def _admin_table(admin: AdminOperations) -> dict[str, _Operation]:
    """Target to operation, for the emulator's admin operations."""
    operations: list[tuple[str, Any, Callable[[Any, float], msgspec.Struct]]] = [
        ("AttachBacklog", shapes.AttachBacklogRequest, admin.attach_backlog),
        ("SetFaults", shapes.FaultPlan, admin.set_faults),
        ("ExpireVisibility", shapes.QueueRequest, admin.expire_visibility),
        ("TakeAuditLog", shapes.QueueRequest, admin.take_audit_log),
    ]
    return {ADMIN_PREFIX + name: _Operation(msgspec.json.Decoder(shape), act) for name, shape, act in operations}
