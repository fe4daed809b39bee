"""The queue of a run: creates and fills it, makes it fail, and reads its audit log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from benchmarks.chaos.load import ChaosLoad
from testkit.checker.evidence import DeliveryRecord, ExpectedMessage, QueueRecord
from testkit.sqs.launch import local_queue_server
from testkit.sqs.raw_client import RawClient

DAEMONS_KEY: Final = "daemon"
"""The access key that the daemon starts with; the secret is the same string."""
_MAX_RECEIVES = 50
"""Faults that redeliver the same message repeatedly would soon exceed SQS's usual ten."""


class Counts(msgspec.Struct, frozen=True):
    """How many messages are in each state."""

    visible: int
    in_flight: int
    delayed: int

    @property
    def is_empty(self) -> bool:
        """Whether the queue holds no message in any state."""
        return not (self.visible or self.in_flight or self.delayed)


class ChaosQueue:
    """Made by `chaos_queues`; one queue at a time."""

    def __init__(self, client: RawClient, endpoint_url: str) -> None:
        self.endpoint_url = endpoint_url
        self.url = ""
        """URL of the current run's queue."""
        self._client = client
        self._dead_url = ""
        self._plan: dict[str, Any] = {}

    def open(self, name: str) -> None:
        """Creates a queue with a dead-letter queue and without faults."""
        self._dead_url = str(self._client.call("CreateQueue", QueueName=f"{name}-dead")["QueueUrl"])
        answer = self._client.call("GetQueueAttributes", QueueUrl=self._dead_url, AttributeNames=["QueueArn"])
        arn = answer["Attributes"]["QueueArn"]
        redrive = f'{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"{_MAX_RECEIVES}"}}'
        attributes = {"RedrivePolicy": redrive}
        self.url = str(self._client.call("CreateQueue", QueueName=name, Attributes=attributes)["QueueUrl"])
        self._plan = {"AcceptedKeys": {DAEMONS_KEY: DAEMONS_KEY}}
        self._apply_faults()

    def close(self) -> None:
        """Deletes the queue and its dead-letter queue."""
        for url in (self.url, self._dead_url):
            self._client.call("DeleteQueue", QueueUrl=url)

    def change(self, **fields: Any) -> None:
        """Sets some fields of the server's fault settings; None removes a field, the others stay as they are."""
        self._plan |= fields
        self._plan = {name: value for name, value in self._plan.items() if value is not None}
        self._apply_faults()

    def expire_visibility(self) -> None:
        """Ends the visibility timeout of every message in flight."""
        self._client.call_admin("ExpireVisibility", QueueUrl=self.url)

    def attach(self, load: ChaosLoad) -> None:
        """Starts the load."""
        load.attach(self._client, self.url)

    def counts(self) -> Counts:
        """Counts the messages; those of the load that have not arrived yet are not counted."""
        answer = self._client.call("GetQueueAttributes", QueueUrl=self.url, AttributeNames=["All"])
        names = ("", "NotVisible", "Delayed")
        return Counts(*(int(answer["Attributes"][f"ApproximateNumberOfMessages{name}"]) for name in names))

    def evidence(
        self, load: ChaosLoad, rejected: frozenset[int] = frozenset()
    ) -> tuple[list[ExpectedMessage], QueueRecord]:
        """Every message that was ever delivered, with what it must lead to, and the queue's audit log.

        Args:
            load: the load that was attached.
            rejected: numbers of the objects whose rows the database may have rejected.
        """
        answer = self._client.call_admin("TakeAuditLog", QueueUrl=self.url)
        dead = frozenset(self._client.call_admin("TakeAuditLog", QueueUrl=self._dead_url).get("Queued", []))
        lines = answer.get("Lines", [])
        expected = [load.expected(number - 1, name, rejected) for name, number, _, _ in lines]
        deliveries = {
            name: DeliveryRecord(received_at, deleted_at, number) for name, number, received_at, deleted_at in lines
        }
        queued = frozenset(answer.get("Queued", []))
        return expected, QueueRecord(deliveries, queued, dead)

    def _apply_faults(self) -> None:
        self._client.call_admin("SetFaults", **self._plan)


@contextmanager
def chaos_queues() -> Iterator[ChaosQueue]:
    """Runs an SQS emulator with an audit log while the block runs."""
    with local_queue_server(keeps_audit_log=True) as server, RawClient(server.endpoint_url) as client:
        yield ChaosQueue(client, server.endpoint_url)
