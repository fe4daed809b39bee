"""From a request of the wire to its answer: signature, target, shape, operation.

Nothing waits here either: the answer is there, or the request became a poll that polls.py will answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from benchmarks.lab.queue import errors, shapes
from benchmarks.lab.queue.account import Account
from benchmarks.lab.queue.operations import MessageOperations, Poll
from benchmarks.lab.queue.polls import Polls, WaitingPoll
from benchmarks.lab.queue.queue_operations import QueueOperations
from benchmarks.lab.queue.signature import SignatureChecker, SignedRequest

LOG = logging.getLogger(__name__)

TARGET_PREFIX = "AmazonSQS."
BACKLOG_TARGET = "QueueLab.AttachBacklog"
"""The one target the real service does not know."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What goes back on the wire."""

    body: bytes
    fault: errors.Fault | None = None


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

    def __init__(self, account: Account, checker: SignatureChecker, clock: Callable[[], float]) -> None:
        messages = MessageOperations(account)
        self._checker = checker
        self._clock = clock
        self._polls = Polls(messages, clock)
        self._encoder = msgspec.json.Encoder()
        self._operations = _table(QueueOperations(account), messages)

    def answer(self, request: SignedRequest, send: Send) -> WaitingPoll | None:
        """Answer the request through `send`, at once or, if a waiting poll is returned, later.

        `send` is called exactly once, unless the waiting poll is told to leave.
        """
        try:
            self._checker.check(request, time.time())
            now = self._clock()
            operation = self._operation(request.headers.get(b"x-amz-target", b"").decode("latin-1"))
            result = operation.act(_decoded(operation.decoder, request.body), now)
        except errors.Refused as refused:
            send(Answer(errors.fault_body(refused), refused.fault))
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
    table = {TARGET_PREFIX + name: _Operation(msgspec.json.Decoder(shape), act) for name, shape, act in operations}
    table[BACKLOG_TARGET] = _Operation(msgspec.json.Decoder(shapes.AttachBacklogRequest), queues.attach_backlog)
    return table
