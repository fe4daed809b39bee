"""The operations on queues; those on messages are in operations.py."""

from __future__ import annotations

from testkit.sqs import errors, shapes
from testkit.sqs.account import Account

_FIFO_ONLY = frozenset({"FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"})
"""Attributes that may be requested but that a standard queue does not have."""

_MAYBE_UNSET = _FIFO_ONLY | {
    "Policy",
    "RedrivePolicy",
    "RedriveAllowPolicy",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
}


class QueueOperations:
    """The operations on queues."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def create(self, request: shapes.CreateQueueRequest, now: float) -> shapes.QueueUrlAnswer:
        """CreateQueue."""
        if request.attributes.keys() & _FIFO_ONLY:
            raise errors.UNSUPPORTED_OPERATION.because(
                "This SQS emulator has standard queues only; FIFO queues are not implemented."
            )
        queue = self._account.create(request.queue_name, request.attributes, now)
        return shapes.QueueUrlAnswer(self._account.url(queue))

    def delete(self, request: shapes.QueueRequest, now: float) -> shapes.Nothing:
        """DeleteQueue."""
        self._account.delete(self._account.at(request.queue_url), now)
        return shapes.Nothing()

    def url(self, request: shapes.GetQueueUrlRequest, _now: float) -> shapes.QueueUrlAnswer:
        """GetQueueUrl."""
        return shapes.QueueUrlAnswer(self._account.url(self._account.named(request.queue_name)))

    def list(self, request: shapes.ListQueuesRequest, _now: float) -> shapes.ListQueuesAnswer:
        """ListQueues."""
        names = (queue for queue in self._account if queue.name.startswith(request.queue_name_prefix))
        return shapes.ListQueuesAnswer([self._account.url(queue) for queue in names][: request.max_results])

    def attributes(self, request: shapes.GetQueueAttributesRequest, now: float) -> shapes.AttributesAnswer:
        """GetQueueAttributes."""
        described = self._account.describe(self._account.at(request.queue_url), now)
        if "All" in request.attribute_names:
            return shapes.AttributesAnswer(described)
        for name in request.attribute_names:
            if name not in described and name not in _MAYBE_UNSET:
                raise errors.INVALID_ATTRIBUTE_NAME.because(f"Unknown Attribute {name}.")
        return shapes.AttributesAnswer({name: described[name] for name in request.attribute_names if name in described})

    def set_attributes(self, request: shapes.SetQueueAttributesRequest, now: float) -> shapes.Nothing:
        """SetQueueAttributes."""
        self._account.set_attributes(self._account.at(request.queue_url), request.attributes, now)
        return shapes.Nothing()

    def purge(self, request: shapes.QueueRequest, now: float) -> shapes.Nothing:
        """PurgeQueue."""
        self._account.purge(self._account.at(request.queue_url), now)
        return shapes.Nothing()
