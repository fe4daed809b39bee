"""The queue of a run: made, filled, made to fail, asked what it saw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from benchmarks.chaos.load import ChaosLoad
from testkit.checker.evidence import ExpectedMessage, Passage, QueueRecord
from testkit.sqs.launch import local_queue_server
from testkit.sqs.raw_client import RawClient

DAEMONS_KEY: Final = "daemon"
"""The access key the daemon starts with; its secret is the same word."""
_MAX_RECEIVES = 50
"""Faults that hand the same message out again and again would soon pass SQS's usual ten."""


class Counts(msgspec.Struct, frozen=True):
    """How many messages are where."""

    visible: int
    in_flight: int
    delayed: int

    @property
    def is_empty(self) -> bool:
        """Nothing anywhere."""
        return not (self.visible or self.in_flight or self.delayed)


class ChaosQueue:
    """Made by `chaos_queues`; one queue at a time."""

    def __init__(self, client: RawClient, endpoint_url: str) -> None:
        self.endpoint_url = endpoint_url
        self.url = ""
        """Of the run that is on."""
        self._client = client
        self._dead_url = ""
        self._plan: dict[str, Any] = {}

    def open(self, name: str) -> None:
        """A fresh queue with a dead-letter queue behind it, and no faults."""
        self._dead_url = str(self._client.call("CreateQueue", QueueName=f"{name}-dead")["QueueUrl"])
        answer = self._client.call("GetQueueAttributes", QueueUrl=self._dead_url, AttributeNames=["QueueArn"])
        arn = answer["Attributes"]["QueueArn"]
        redrive = f'{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"{_MAX_RECEIVES}"}}'
        attributes = {"RedrivePolicy": redrive}
        self.url = str(self._client.call("CreateQueue", QueueName=name, Attributes=attributes)["QueueUrl"])
        self._plan = {"AcceptedKeys": {DAEMONS_KEY: DAEMONS_KEY}}
        self._tell()

    def close(self) -> None:
        """The queue and its dead letters are gone."""
        for url in (self.url, self._dead_url):
            self._client.call("DeleteQueue", QueueUrl=url)

    def change(self, **fields: Any) -> None:
        """Let some of what goes wrong be otherwise; None takes a field back. The rest stays as it is."""
        self._plan |= fields
        self._plan = {name: value for name, value in self._plan.items() if value is not None}
        self._tell()

    def expire_visibility(self) -> None:
        """Let the visibility timeout of whatever is in flight be over."""
        self._client.call_lab("ExpireVisibility", QueueUrl=self.url)

    def attach(self, load: ChaosLoad) -> None:
        """Let the load begin."""
        load.attach(self._client, self.url)

    def counts(self) -> Counts:
        """Where the messages are now; those of the load that are still to come are nowhere."""
        answer = self._client.call("GetQueueAttributes", QueueUrl=self.url, AttributeNames=["All"])
        names = ("", "NotVisible", "Delayed")
        return Counts(*(int(answer["Attributes"][f"ApproximateNumberOfMessages{name}"]) for name in names))

    def testimony(
        self, load: ChaosLoad, refused: frozenset[int] = frozenset()
    ) -> tuple[list[ExpectedMessage], QueueRecord]:
        """What each message told that was ever handed out, and what the queue saw of it.

        Args:
            load: what was put into the queue.
            refused: the objects, by number, whose rows the database may have refused.
        """
        answer = self._client.call_lab("TakeHistory", QueueUrl=self.url)
        dead = frozenset(self._client.call_lab("TakeHistory", QueueUrl=self._dead_url).get("Queued", []))
        lines = answer.get("Lines", [])
        told = [load.told(number - 1, name, refused) for name, number, _, _ in lines]
        passages = {name: Passage(received_at, deleted_at, number) for name, number, received_at, deleted_at in lines}
        queued = frozenset(answer.get("Queued", []))
        return told, QueueRecord(passages, queued, dead)

    def _tell(self) -> None:
        self._client.call_lab("SetFaults", **self._plan)


@contextmanager
def chaos_queues() -> Iterator[ChaosQueue]:
    """A queue server that remembers, while the block runs."""
    with local_queue_server(keeps_history=True) as server, RawClient(server.endpoint_url) as client:
        yield ChaosQueue(client, server.endpoint_url)
