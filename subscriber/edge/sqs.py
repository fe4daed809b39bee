"""The queues' edge: receive, delete, hide and hand back over aiobotocore.

Receiving and settling have a client each, and so a connection pool each: a delete never waits behind a
twenty-second poll. Queues of several regions get clients of their own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from subscriber.edge.aws import call_error, client_config, region_of, require_reachable_host, session_with_region
from subscriber.model import BatchAnswer, Lease, Message

MESSAGES_PER_CALL = 10
"""Entries of a batch call, and the most one receive may return (SQS API reference)."""

SETTLE_TIMEOUT_SECONDS = 20
POLL_GRACE_SECONDS = 10
"""A long poll answers after its wait; what has not come so much later is lost."""


class SqsOptions(msgspec.Struct, frozen=True):
    """How queues are asked."""

    queues: tuple[str, ...]
    wait_seconds: int
    """Of a long poll, 1 to 20 (SQS API reference)."""
    visibility_seconds: int
    """How long what a poll brings is hidden from others, whatever the queue's own setting."""
    polls_at_most: int
    settle_calls_at_most: int


class Sqs:
    """An async context: `async with Sqs(options) as queues`.

    Every call raises QueueCallError and nothing else; none repeats itself.
    """

    def __init__(self, options: SqsOptions) -> None:
        self._options = options
        self._clients = AsyncExitStack()
        self._receive: dict[str, Any] = {}
        self._settle: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        session = session_with_region(self._options.queues)
        pools = (
            (self._receive, self._options.polls_at_most + 1, self._options.wait_seconds + POLL_GRACE_SECONDS),
            (self._settle, self._options.settle_calls_at_most + 1, SETTLE_TIMEOUT_SECONDS),
        )
        for clients, connections, read_timeout_seconds in pools:
            config = client_config(connections=connections, read_timeout_seconds=read_timeout_seconds)
            by_region: dict[str | None, Any] = {}
            for queue in self._options.queues:
                region = region_of(queue)
                if region not in by_region:
                    client = session.create_client("sqs", region_name=region, config=config)
                    by_region[region] = await self._clients.enter_async_context(client)
                    require_reachable_host(queue, by_region[region].meta.endpoint_url)
                clients[queue] = by_region[region]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._clients.aclose()

    async def receive(self, lease: Lease) -> list[Message]:
        """Up to ten messages of `lease.queue`, after a wait of `wait_seconds` at most if there are none."""
        call = self._receive[lease.queue].receive_message(
            QueueUrl=lease.queue,
            MaxNumberOfMessages=MESSAGES_PER_CALL,
            WaitTimeSeconds=self._options.wait_seconds,
            VisibilityTimeout=self._options.visibility_seconds,
            MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
        )
        answer = await _answer(call, self._options.wait_seconds + POLL_GRACE_SECONDS)
        return [_message(lease, raw) for raw in answer.get("Messages", ())]

    async def delete(self, queue: str, handles: Sequence[str]) -> BatchAnswer:
        """Delete up to ten messages by their handles."""
        entries = [{"Id": str(position), "ReceiptHandle": handle} for position, handle in enumerate(handles)]
        call = self._settle[queue].delete_message_batch(QueueUrl=queue, Entries=entries)
        return _batch_answer(await _answer(call, SETTLE_TIMEOUT_SECONDS))

    async def change_visibility(self, queue: str, entries: Sequence[tuple[str, int]]) -> BatchAnswer:
        """Hide up to ten messages for so many seconds from now, at most 12 hours after their receive."""
        raw = [
            {"Id": str(position), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
            for position, (handle, seconds) in enumerate(entries)
        ]
        call = self._settle[queue].change_message_visibility_batch(QueueUrl=queue, Entries=raw)
        return _batch_answer(await _answer(call, SETTLE_TIMEOUT_SECONDS))

    async def hand_back(self, queue: str, handles: Sequence[str]) -> int:
        """Make any number of messages visible at once; how many the queue says are.

        Raises:
            QueueCallError: a call failed; the ones before it were done.
        """
        done = 0
        for start in range(0, len(handles), MESSAGES_PER_CALL):
            some = handles[start : start + MESSAGES_PER_CALL]
            done += len((await self.change_visibility(queue, [(handle, 0) for handle in some])).done)
        return done

    async def attributes(self, queue: str) -> Mapping[str, str]:
        """All attributes of a queue, as text."""
        call = self._settle[queue].get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])
        answer = await _answer(call, SETTLE_TIMEOUT_SECONDS)
        attributes: Mapping[str, str] = answer.get("Attributes", {})
        return attributes


async def _answer(call: Awaitable[dict[str, Any]], timeout_seconds: float) -> dict[str, Any]:
    # Waiting for a free pooled connection has no timeout in aiobotocore, hence one around the whole call.
    try:
        async with asyncio.timeout(timeout_seconds):
            return await call
    except (ClientError, BotoCoreError, OSError) as error:
        raise call_error(error) from error


def _message(lease: Lease, raw: dict[str, Any]) -> Message:
    attributes = raw.get("Attributes", {})
    sent_milliseconds = attributes.get("SentTimestamp")
    return Message(
        queue=lease.queue,
        message_id=raw["MessageId"],
        receipt_handle=raw["ReceiptHandle"],
        body=raw.get("Body", ""),
        sent_at=int(sent_milliseconds) / 1000 if sent_milliseconds else time.time(),
        receive_count=int(attributes.get("ApproximateReceiveCount", 1)),
        lease=lease,
    )


def _batch_answer(answer: dict[str, Any]) -> BatchAnswer:
    return BatchAnswer(
        done=tuple(int(entry["Id"]) for entry in answer.get("Successful", ())),
        failed=tuple((int(entry["Id"]), str(entry.get("Code", "Unknown"))) for entry in answer.get("Failed", ())),
    )
