"""The SQS client: receive, delete, change visibility, release, and read attributes.

The operations of the hot path use our JSON client, all others aiobotocore. Polls and deletes have separate connection
pools, so a delete never waits behind a twenty-second poll. Every region has its own clients, and so has every endpoint
that a queue's URL names.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import msgspec
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError

from subscriber.adapters.aws.credentials import once_credentials_come
from subscriber.adapters.aws.json_client import JsonClient
from subscriber.adapters.aws.session import (
    call_error,
    client_config,
    endpoint_of,
    session_with_region,
    tls_context,
    unusable_settings,
)
from subscriber.adapters.sqs.options import SqsOptions
from subscriber.adapters.sqs.wire import (
    DELETE_TARGET,
    RECEIVE_TARGET,
    VISIBILITY_TARGET,
    batch_answer,
    delete_body,
    messages_in,
    receive_body,
    visibility_body,
)
from subscriber.errors import NO_CREDENTIALS_REMEDY, QueueError
from subscriber.model import ENTRIES_PER_CALL, BatchAnswer, Lease, Message
from subscriber.queue_url import region_of

SETTLE_TIMEOUT_SECONDS = 20
POLL_GRACE_SECONDS = 10
"""A long poll without an answer so long after its wait has failed."""


class _Region(msgspec.Struct, frozen=True):
    """The clients of the queues of one region, or of one endpoint in it."""

    receive: JsonClient
    settle: JsonClient
    """For DeleteMessageBatch and ChangeMessageVisibilityBatch."""
    aiobotocore: Any
    """For all other operations."""


class Sqs:
    """An async context: `async with Sqs(options) as queues`.

    Every call raises QueueCallError and nothing else; none retries.
    """

    def __init__(self, options: SqsOptions) -> None:
        self._options = options
        self._open = AsyncExitStack()
        self._regions: dict[str, _Region] = {}
        self._receive_bodies = {
            queue: receive_body(queue, options.wait_seconds, options.visibility_seconds, options.messages_per_poll)
            for queue in options.queues
        }

    async def __aenter__(self) -> Self:
        try:
            await once_credentials_come(self._open_or_close)
        except (BotoCoreError, ValueError, OSError) as error:
            raise unusable_settings(error) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def receive(self, lease: Lease) -> list[Message]:
        """Receive up to ten messages from `lease.queue`, waiting at most `wait_seconds` for the first."""
        body = self._receive_bodies[lease.queue]
        timeout_seconds = self._options.wait_seconds + POLL_GRACE_SECONDS
        client = self._regions[lease.queue].receive
        answer = await client.call(RECEIVE_TARGET, body, timeout_seconds)
        return messages_in(answer, lease, time.time(), client.server_ahead_seconds)

    async def delete(self, queue: str, handles: Sequence[str]) -> BatchAnswer:
        """Delete up to ten messages by their receipt handles."""
        return await self._settle(queue, DELETE_TARGET, delete_body(queue, handles), len(handles))

    async def change_visibility(self, queue: str, entries: Sequence[tuple[str, int]]) -> BatchAnswer:
        """Set the visibility timeout of up to ten messages: seconds from now, at most 12 hours after the receive."""
        return await self._settle(queue, VISIBILITY_TARGET, visibility_body(queue, entries), len(entries))

    async def release(self, queue: str, handles: Sequence[str]) -> BatchAnswer:
        """Make any number of messages visible at once, in calls of ENTRIES_PER_CALL.

        Raises:
            QueueCallError: a call failed; the calls before it have taken effect.
        """
        done: list[int] = []
        failed: list[tuple[int, str]] = []
        for start in range(0, len(handles), ENTRIES_PER_CALL):
            entries = [(handle, 0) for handle in handles[start : start + ENTRIES_PER_CALL]]
            answer = await self.change_visibility(queue, entries)
            done += (start + position for position in answer.done)
            failed += ((start + position, code) for position, code in answer.failed)
        return BatchAnswer(done=tuple(done), failed=tuple(failed))

    async def attributes(self, queue: str, through: str | None = None) -> Mapping[str, str]:
        """All attributes of a queue, as text; a queue that is not in the options uses the client of queue `through`."""
        call = self._regions[through or queue].aiobotocore.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])
        answer = await _answer(call, SETTLE_TIMEOUT_SECONDS)
        attributes: Mapping[str, str] = answer.get("Attributes", {})
        return attributes

    async def rare_call(self, through: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Any operation by its name in Python, such as "send_message_batch", with the client of queue `through`."""
        call = getattr(self._regions[through].aiobotocore, operation)(**parameters)
        return await _answer(call, SETTLE_TIMEOUT_SECONDS)

    async def _settle(self, queue: str, target: str, body: bytes, entries: int) -> BatchAnswer:
        return batch_answer(await self._regions[queue].settle.call(target, body, SETTLE_TIMEOUT_SECONDS), entries)

    async def _open_or_close(self) -> None:
        try:
            await self._open_regions()
        except BaseException:
            await self._open.aclose()
            raise

    async def _open_regions(self) -> None:
        session = session_with_region(self._options.queues)
        resolved: dict[str | None, Any] = {}
        by_endpoint: dict[tuple[str, str], _Region] = {}
        for queue in self._options.queues:
            name = region_of(queue)
            if name not in resolved:
                resolved[name] = await self._client(session, name)
            client = resolved[name]
            endpoint = endpoint_of(queue, client.meta.endpoint_url)
            key = (client.meta.region_name, endpoint)
            if key not in by_endpoint:
                if endpoint != client.meta.endpoint_url:
                    client = await self._client(session, name, endpoint)
                by_endpoint[key] = await self._open_region(session, client)
            self._regions[queue] = by_endpoint[key]

    async def _client(self, session: AioSession, region: str | None, endpoint: str | None = None) -> Any:
        config = client_config(connections=len(self._options.queues) + 1, read_timeout_seconds=SETTLE_TIMEOUT_SECONDS)
        client = session.create_client("sqs", region_name=region, endpoint_url=endpoint, config=config)
        return await self._open.enter_async_context(client)

    async def _open_region(self, session: AioSession, client: Any) -> _Region:
        credentials = await session.get_credentials()
        if credentials is None:
            problem = f"region {client.meta.region_name}: no AWS credentials were found"
            raise QueueError(f"{problem} in environment, profile or container role; {NO_CREDENTIALS_REMEDY}")

        tls = tls_context(session)

        def json_client(connections: int) -> JsonClient:
            opened = JsonClient(
                client.meta.endpoint_url, client.meta.region_name, credentials, connections=connections, tls=tls
            )
            self._open.push_async_callback(opened.close)
            return opened

        return _Region(
            receive=json_client(self._options.polls_at_most + 1),
            settle=json_client(self._options.settle_calls_at_most + 1),
            aiobotocore=client,
        )


async def _answer(call: Awaitable[dict[str, Any]], timeout_seconds: float) -> dict[str, Any]:
    # aiobotocore has no timeout for a free pooled connection, hence this one around the whole call.
    try:
        async with asyncio.timeout(timeout_seconds):
            return await call
    except (ClientError, BotoCoreError, OSError, RuntimeError) as error:  # RuntimeError: credentials still expired
        raise call_error(error) from error
