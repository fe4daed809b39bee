"""The JSON of requests and answers, as botocore's model `sqs/2012-11-05` has it, for what the lab implements.

A parameter that is not listed is ignored when it has no effect here (tags), and listed in order to be refused
when it would (message attributes).
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

EntryT = TypeVar("EntryT")
Attributes = dict[str, str]


class Shape(msgspec.Struct, rename="pascal", omit_defaults=True, gc=False):
    """Names are in Pascal case on the wire; what is empty is left out of an answer, as the service does."""


class QueueRequest(Shape):
    """DeleteQueue, PurgeQueue: nothing but the queue."""

    queue_url: str = ""


class CreateQueueRequest(Shape):
    """CreateQueue."""

    queue_name: str = ""
    attributes: Attributes = {}


class GetQueueUrlRequest(Shape):
    """GetQueueUrl."""

    queue_name: str = ""


class ListQueuesRequest(Shape):
    """ListQueues; the lab answers in one page."""

    queue_name_prefix: str = ""
    max_results: int = 1_000


class GetQueueAttributesRequest(QueueRequest):
    """GetQueueAttributes."""

    attribute_names: list[str] = []


class SetQueueAttributesRequest(QueueRequest):
    """SetQueueAttributes."""

    attributes: Attributes = {}


class Outgoing(Shape):
    """What SendMessage and an entry of SendMessageBatch have in common."""

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


class ReceiveMessageRequest(QueueRequest):
    """ReceiveMessage; `attribute_names` is the older way to ask for system attributes."""

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
    """SendMessage, and what succeeded in SendMessageBatch."""

    message_id: str
    body_md5: str = msgspec.field(name="MD5OfMessageBody")
    id: str = ""


class EntryAnswer(Shape):
    """What succeeded in a batch that changes messages."""

    id: str


class EntryFailure(Shape):
    """What failed in a batch: the request as a whole is answered with 200."""

    id: str
    sender_fault: bool
    code: str
    message: str = ""


class BatchAnswer(Shape):
    """Every entry's own answer."""

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
    """ReceiveMessage: without messages there is no key for them either."""

    messages: list[ReceivedMessage] = []


class Nothing(Shape):
    """DeleteMessage and the others that have nothing to say."""


class FaultPlan(Shape):
    """The lab's own: what goes wrong from now on (faults.py); an empty plan ends it. Shares are 0 … 1."""

    seed: int = 0
    accepted_keys: dict[str, str] = {}
    """Secret by access key, beside the server's own pair. Who comes with another is told that it has expired."""
    refused_share: float = 0.0
    """Of calls, which have no effect then."""
    refusal: str = "internal"
    lost_answer_share: float = 0.0
    """Of calls that had their effect."""
    delay_seconds: float = 0.0
    """Of an answer, on average."""
    failed_entry_share: float = 0.0
    forgotten_delete_share: float = 0.0
    duplicate_share: float = 0.0
    postponed_share: float = 0.0
    """Of received messages: they come later, hence in another order."""
    visibility_seconds_at_most: int | None = None
    in_flight_limit: int | None = None
    clock_offset_seconds: float = 0.0
    """How far the service's clock, by which signatures are judged, runs ahead."""


class HistoryAnswer(Shape):
    """The lab's own: what a queue saw (audit_log.py), and what is still in it."""

    lines: list[Any] = []
    queued: list[str] = []
    """Message ids."""
    untold: int = 0
    """How many bodies the backlog still has to give."""


class AttachBacklogRequest(QueueRequest):
    """The lab's own: let the queue make messages as they are asked for (backlog.py)."""

    function: str = ""
    arguments: dict[str, Any] = {}
