"""From a request of the wire to its answer: signature, target, shape, operation.

Nothing waits here either: the answer is there, or the request became a poll that polls.py will answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from testkit.sqs import errors, shapes
from testkit.sqs.account import Account
from testkit.sqs.audit_log import AuditLog
from testkit.sqs.faults import Faults
from testkit.sqs.lab_operations import LabOperations
from testkit.sqs.operations import MessageOperations, Poll
from testkit.sqs.polls import Polls, WaitingPoll
from testkit.sqs.queue_operations import QueueOperations
from testkit.sqs.signature import SignatureChecker, SignedRequest

LOG = logging.getLogger(__name__)

TARGET_PREFIX = "AmazonSQS."
LAB_PREFIX = "QueueLab."
"""Of the targets that the real service does not know."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What goes back on the wire."""

    body: bytes
    fault: errors.Fault | None = None
    served_at: float | None = None
    """Unix seconds, by the clock that judges signatures: a client whose own is off learns it from a refusal."""
    is_lost: bool = False
    """The line goes dead instead."""


Send: TypeAlias = Callable[[Answer], None]


class _Operation(msgspec.Struct, frozen=True):
    decoder: msgspec.json.Decoder[Any]
    act: Callable[[Any, float], msgspec.Struct]


class LabClock:
    """Unix seconds that never go back: the wall clock is read once, then the monotonic one counts."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def __call__(self) -> float:
        """The present moment."""
        return time.monotonic() + self._offset


class Service:
    """The queue service without its wire."""

    def __init__(
        self,
        account: Account,
        checker: SignatureChecker,
        clock: Callable[[], float],
        audit_log: AuditLog | None = None,
    ) -> None:
        audit_log = audit_log or AuditLog(is_attentive=False)
        self._faults = Faults()
        messages = MessageOperations(account, self._faults, audit_log)
        lab = LabOperations(account, checker, self._faults, audit_log)
        self._checker = checker
        self._clock = clock
        self._polls = Polls(messages, clock)
        self._encoder = msgspec.json.Encoder()
        self._operations = _table(QueueOperations(account), messages) | _lab_table(lab)

    def answer(self, request: SignedRequest, send: Send) -> WaitingPoll | None:
        """Answer the request through `send`, at once or, if a waiting poll is returned, later.

        `send` is called exactly once, unless the waiting poll is told to leave.
        """
        moment, ahead = time.time(), self._faults.plan.clock_offset_seconds
        try:
            if self._checker.check(request, moment, ahead):
                send = self._faulty(send)
            now = self._clock()
            operation = self._operation(request.headers.get(b"x-amz-target", b"").decode("latin-1"))
            result = operation.act(_decoded(operation.decoder, request.body), now)
        except errors.Refused as refused:
            send(Answer(errors.fault_body(refused), refused.fault, moment + ahead))
            return None
        except Exception:
            LOG.exception("a request broke the queue server")
            broken = errors.INTERNAL_FAILURE.because("The queue server of the lab failed; see its log.")
            send(Answer(errors.fault_body(broken), broken.fault))
            return None
        if isinstance(result, Poll):
            return self._polls.wait(result, lambda answer: send(Answer(self._encoder.encode(answer))))
        send(Answer(self._encoder.encode(result)))
        self._polls.serve()
        return None

    def _faulty(self, send: Send) -> Send:
        """For a guest, who may be refused, kept waiting, or left without an answer."""
        self._faults.refuse()
        is_lost = self._faults.loses_answer()

        def send_in_time(answer: Answer) -> None:
            given = msgspec.structs.replace(answer, is_lost=True) if is_lost else answer
            self._faults.later(asyncio.get_running_loop().call_later, lambda: send(given))

        return send_in_time

    def _operation(self, target: str) -> _Operation:
        operation = self._operations.get(target)
        if operation is not None:
            return operation
        raise errors.UNKNOWN_OPERATION.because(f"The queue server of the lab does not implement '{target}'.")


def _decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:
        raise errors.MALFORMED_INPUT.because(str(error)) from error


def _table(queues: QueueOperations, messages: MessageOperations) -> dict[str, _Operation]:
    """Target to operation: the one place that knows all of them."""
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


def _lab_table(lab: LabOperations) -> dict[str, _Operation]:
    """The same for what only the lab knows."""
    operations: list[tuple[str, Any, Callable[[Any, float], msgspec.Struct]]] = [
        ("AttachBacklog", shapes.AttachBacklogRequest, lab.attach_backlog),
        ("SetFaults", shapes.FaultPlan, lab.set_faults),
        ("ExpireVisibility", shapes.QueueRequest, lab.expire_visibility),
        ("TakeHistory", shapes.QueueRequest, lab.take_history),
    ]
    return {LAB_PREFIX + name: _Operation(msgspec.json.Decoder(shape), act) for name, shape, act in operations}
