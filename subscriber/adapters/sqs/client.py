"""The queues' edge: receive, delete, hide and hand back.

The three calls of every message go through our own thin client, all others through aiobotocore. Receiving and
settling have a connection pool each: a delete never waits behind a twenty-second poll. Queues of several regions
get clients of their own.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import msgspec
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from subscriber.adapters.aws.json_client import JsonClient
from subscriber.adapters.aws.session import (
    call_error,
    client_config,
    region_of,
    require_usable_endpoint,
    session_with_region,
    unusable_settings,
)
from subscriber.adapters.sqs.wire import (
    DELETE_TARGET,
    MESSAGES_PER_CALL,
    RECEIVE_TARGET,
    VISIBILITY_TARGET,
    batch_answer,
    delete_body,
    messages_in,
    receive_body,
    visibility_body,
)
from subscriber.errors import QueueError
from subscriber.model import BatchAnswer, Lease, Message

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
    messages_per_poll: int = MESSAGES_PER_CALL


class _Region(msgspec.Struct, frozen=True):
    """The clients of the queues of one region."""

    receive: JsonClient
    settle: JsonClient
    rest: Any
    """aiobotocore's client, for what is asked seldom."""


class Sqs:
    """An async context: `async with Sqs(options) as queues`.

    Every call raises QueueCallError and nothing else; none repeats itself.
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
            await self._open_regions()
        except (BotoCoreError, ValueError, OSError) as error:
            await self._open.aclose()
            raise unusable_settings(error) from error
        except BaseException:
            await self._open.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def receive(self, lease: Lease) -> list[Message]:
        """Up to ten messages of `lease.queue`, after a wait of `wait_seconds` at most if there are none."""
        body = self._receive_bodies[lease.queue]
        timeout_seconds = self._options.wait_seconds + POLL_GRACE_SECONDS
        answer = await self._regions[lease.queue].receive.call(RECEIVE_TARGET, body, timeout_seconds)
        return messages_in(answer, lease, time.time())

    async def delete(self, queue: str, handles: Sequence[str]) -> BatchAnswer:
        """Delete up to ten messages by their handles."""
        return await self._settle(queue, DELETE_TARGET, delete_body(queue, handles), len(handles))

    async def change_visibility(self, queue: str, entries: Sequence[tuple[str, int]]) -> BatchAnswer:
        """Hide up to ten messages for so many seconds from now, at most 12 hours after their receive."""
        return await self._settle(queue, VISIBILITY_TARGET, visibility_body(queue, entries), len(entries))

    async def release(self, queue: str, handles: Sequence[str]) -> int:
        """Make any number of messages visible at once; how many the queue says are.

        Raises:
            QueueCallError: a call failed; the ones before it were done.
        """
        done = 0
        for start in range(0, len(handles), MESSAGES_PER_CALL):
            some = handles[start : start + MESSAGES_PER_CALL]
            done += len((await self.change_visibility(queue, [(handle, 0) for handle in some])).done)
        return done

    async def attributes(self, queue: str, through: str | None = None) -> Mapping[str, str]:
        """All attributes of a queue, as text; one that is not ours is asked for through one that is."""
        call = self._regions[through or queue].rest.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])
        answer = await _answer(call, SETTLE_TIMEOUT_SECONDS)
        attributes: Mapping[str, str] = answer.get("Attributes", {})
        return attributes

    async def _settle(self, queue: str, target: str, body: bytes, entries: int) -> BatchAnswer:
        return batch_answer(await self._regions[queue].settle.call(target, body, SETTLE_TIMEOUT_SECONDS), entries)

    async def _open_regions(self) -> None:
        session = session_with_region(self._options.queues)
        by_name: dict[str | None, _Region] = {}
        for queue in self._options.queues:
            name = region_of(queue)
            if name not in by_name:
                by_name[name] = await self._open_region(session, name)
            self._regions[queue] = by_name[name]
            require_usable_endpoint(queue, by_name[name].rest.meta.endpoint_url)

    async def _open_region(self, session: AioSession, name: str | None) -> _Region:
        config = client_config(connections=len(self._options.queues) + 1, read_timeout_seconds=SETTLE_TIMEOUT_SECONDS)
        rest = await self._open.enter_async_context(session.create_client("sqs", region_name=name, config=config))
        credentials = await session.get_credentials()
        if credentials is None:
            raise QueueError(f"region {rest.meta.region_name}: {call_error(NoCredentialsError())}")

        tls = _tls(session)

        def client(connections: int) -> JsonClient:
            thin = JsonClient(
                rest.meta.endpoint_url, rest.meta.region_name, credentials, connections=connections, tls=tls
            )
            self._open.push_async_callback(thin.close)
            return thin

        return _Region(
            receive=client(self._options.polls_at_most + 1),
            settle=client(self._options.settle_calls_at_most + 1),
            rest=rest,
        )


def _tls(session: AioSession) -> ssl.SSLContext:
    """How servers are verified: by the authorities of AWS_CA_BUNDLE where it is set, else by the system's."""
    return ssl.create_default_context(cafile=session.get_config_variable("ca_bundle"))


async def _answer(call: Awaitable[dict[str, Any]], timeout_seconds: float) -> dict[str, Any]:
    # Waiting for a free pooled connection has no timeout in aiobotocore, hence one around the whole call.
    try:
        async with asyncio.timeout(timeout_seconds):
            return await call
    except (ClientError, BotoCoreError, OSError, RuntimeError) as error:  # RuntimeError: credentials still expired
        raise call_error(error) from error
