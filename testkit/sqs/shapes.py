"""The JSON shapes of the implemented operations, as in botocore's model `sqs/2012-11-05`.

Parameters without an effect here (tags) are not listed and thus ignored. Parameters that would need an implementation
(message attributes) are listed, so that a request with them can be rejected.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

EntryT = TypeVar("EntryT")
Attributes = dict[str, str]


class Shape(msgspec.Struct, rename="pascal", omit_defaults=True, gc=False):
    """Field names are in Pascal case in JSON; empty fields are left out of an answer, as by the service."""


class QueueRequest(Shape):
    """DeleteQueue, PurgeQueue: only the queue."""

    queue_url: str = ""


class CreateQueueRequest(Shape):
    """CreateQueue."""

    queue_name: str = ""
    attributes: Attributes = {}


class GetQueueUrlRequest(Shape):
    """GetQueueUrl."""

    queue_name: str = ""


class ListQueuesRequest(Shape):
    """ListQueues; the emulator answers in one page."""

    queue_name_prefix: str = ""
    max_results: int = 1_000


class GetQueueAttributesRequest(QueueRequest):
    """GetQueueAttributes."""

    attribute_names: list[str] = []


class SetQueueAttributesRequest(QueueRequest):
    """SetQueueAttributes."""

    attributes: Attributes = {}


class Outgoing(Shape):
    """The common part of SendMessage and an entry of SendMessageBatch."""

    message_body: str = ""
    delay_seconds: int | None = None
    message_group_id: str | None = None
    message_attributes: dict[str, Any] = {}
    message_system_attributes: dict[str, Any] = {}


class SendMessageRequest(Outgoing):
    """SendMessage."""

    queue_url: str = ""


class SendEntry(Outgoing):
    """One entry of SendMessageBatch."""

    id: str = ""


class DeleteEntry(Shape):
    """One entry of DeleteMessageBatch."""

    id: str = ""
    receipt_handle: str = ""


class VisibilityEntry(Shape):
    """One entry of ChangeMessageVisibilityBatch."""

    id: str = ""
    receipt_handle: str = ""
    visibility_timeout: int | None = None


class BatchRequest(QueueRequest, Generic[EntryT]):
    """SendMessageBatch, DeleteMessageBatch, ChangeMessageVisibilityBatch."""

    entries: list[EntryT] = []


class StartMoveRequest(Shape):
    """StartMessageMoveTask."""

    source_arn: str = ""
    destination_arn: str = ""
    max_number_of_messages_per_second: int | None = None


class ListMovesRequest(Shape):
    """ListMessageMoveTasks."""

    source_arn: str = ""
    max_results: int = 1


class MoveHandle(Shape):
    """CancelMessageMoveTask, and the answer of StartMessageMoveTask."""

    task_handle: str = ""


class MovedAnswer(Shape):
    """Of CancelMessageMoveTask."""

    approximate_number_of_messages_moved: int


class MoveResult(Shape):
    """One task in the answer of ListMessageMoveTasks."""

    task_handle: str = ""
    status: str = ""
    source_arn: str = ""
    approximate_number_of_messages_moved: int = -1
    approximate_number_of_messages_to_move: int = -1
    failure_reason: str = ""
    started_timestamp: int = 0


class MovesAnswer(Shape):
    """Of ListMessageMoveTasks."""

    results: list[MoveResult] = []


class ReceiveMessageRequest(QueueRequest):
    """ReceiveMessage; `attribute_names` is the older parameter for system attributes."""

    max_number_of_messages: int = 1
    visibility_timeout: int | None = None
    wait_time_seconds: int | None = None
    message_system_attribute_names: list[str] = []
    attribute_names: list[str] = []


class DeleteMessageRequest(QueueRequest):
    """DeleteMessage."""

    receipt_handle: str = ""


class ChangeMessageVisibilityRequest(QueueRequest):
    """ChangeMessageVisibility."""

    receipt_handle: str = ""
    visibility_timeout: int | None = None


class QueueUrlAnswer(Shape):
    """CreateQueue, GetQueueUrl."""

    queue_url: str


class ListQueuesAnswer(Shape):
    """ListQueues."""

    queue_urls: list[str] = []


class AttributesAnswer(Shape):
    """GetQueueAttributes."""

    attributes: Attributes = {}


class SentAnswer(Shape):
    """SendMessage, and a successful entry of SendMessageBatch."""

    message_id: str
    body_md5: str = msgspec.field(name="MD5OfMessageBody")
    id: str = ""


class EntryAnswer(Shape):
    """A successful entry of a batch that changes messages."""

    id: str


class EntryFailure(Shape):
    """A failed entry of a batch; the request as a whole is answered with 200."""

    id: str
    sender_fault: bool
    code: str
    message: str = ""


class BatchAnswer(Shape):
    """The result of every entry."""

    successful: list[Any] = []
    failed: list[EntryFailure] = []


class ReceivedMessage(Shape):
    """One message of ReceiveMessage."""

    message_id: str
    receipt_handle: str
    body_md5: str = msgspec.field(name="MD5OfBody")
    body: str = ""
    attributes: Attributes = {}


class ReceiveAnswer(Shape):
    """ReceiveMessage; without messages the key `Messages` is missing."""

    messages: list[ReceivedMessage] = []


class Nothing(Shape):
    """An empty answer, as of DeleteMessage."""


class FaultPlan(Shape):
    """Admin operation SetFaults: the faults from now on (faults.py); an empty plan ends them. Shares are 0 to 1."""

    seed: int = 0
    accepted_keys: dict[str, str] = {}
    """Secret by access key, besides the server's own pair. A key that is no longer listed counts as expired."""
    failed_call_share: float = 0.0
    """Share of calls that fail without an effect."""
    failure: str = "internal"
    lost_answer_share: float = 0.0
    """Share of calls that have their effect but get no answer."""
    delay_seconds: float = 0.0
    """Mean delay of an answer."""
    failed_entry_share: float = 0.0
    forgotten_delete_share: float = 0.0
    duplicate_share: float = 0.0
    postponed_share: float = 0.0
    """Share of received messages that are delivered later, hence in another order."""
    visibility_seconds_at_most: int | None = None
    in_flight_limit: int | None = None
    clock_offset_seconds: float = 0.0
    """How far the clock that signatures are checked against runs ahead."""


class AuditLogAnswer(Shape):
    """Admin operation TakeAuditLog: the audit log of a queue (audit_log.py), and the messages that are still in it."""

    lines: list[Any] = []
    queued: list[str] = []
    """Message ids."""
    remaining: int = 0
    """How many bodies are left in the backlog."""


class AttachBacklogRequest(QueueRequest):
    """Admin operation AttachBacklog: let the queue generate messages when they are received (backlog.py)."""

    function: str = ""
    arguments: dict[str, Any] = {}
