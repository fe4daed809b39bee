"""Rare calls to AWS services through aiobotocore, each with a timeout and with one sentence for every failure."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from subscriber.adapters.aws.session import call_error, client_config, session_with_region
from subscriber.errors import AwsErrorKind, SensorError, aws_error_kind

CALL_SECONDS = 5.0
"""These services answer in tenths of a second; a later answer is too late for a decision."""
PAGES_AT_MOST = 10
CALL_ERRORS = (ClientError, BotoCoreError, OSError, RuntimeError, ValueError)
"""All that a failed call raises. RuntimeError: the credentials are still expired; ValueError: the endpoint in the
environment is invalid."""


class AwsCallError(SensorError):
    """One call failed. `code` is the AWS error code, or the name of the network failure; `kind` is its meaning."""

    def __init__(self, action: str, code: str, detail: str) -> None:
        self.code = code
        self.detail = detail
        self.kind = aws_error_kind(code)
        advice = f" (the role needs {action})" if self.is_denied else ""
        super().__init__(f"{action} failed: {code}: {detail or 'no details'}{advice}")

    @property
    def is_denied(self) -> bool:
        """Whether a policy denies the call."""
        return self.kind is AwsErrorKind.DENIED


class AwsCalls:
    """Clients of aiobotocore in one region, created on first use.

    Credentials, profiles and endpoint variables such as `AWS_ENDPOINT_URL_PI` apply as in every AWS SDK. `close` may be
    called at any time: the next call creates its client again.
    """

    def __init__(self, region: str | None) -> None:
        self._region = region
        self._session: AioSession | None = None
        self._clients: dict[str, Any] = {}
        self._open = AsyncExitStack()

    async def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call an operation and return its response.

        Args:
            service: botocore's name, such as "pi".
            operation: the name in the API reference, such as "GetResourceMetrics".
            parameters: of the operation.

        Raises:
            AwsCallError: the call failed or took longer than five seconds; the first call of a service also creates
                its client, which is not part of the five seconds.
        """
        action = f"{service}:{operation}"
        try:
            client = await self.client(service)
            async with asyncio.timeout(CALL_SECONDS):
                answer: dict[str, Any] = await getattr(client, xform_name(operation))(**parameters)
                return answer
        except TimeoutError as error:
            raise AwsCallError(action, "Timeout", f"no answer within {CALL_SECONDS:g} s") from error
        except CALL_ERRORS as error:
            ours = call_error(error)
            raise AwsCallError(action, ours.code, ours.detail) from error

    async def pages(self, service: str, operation: str, member: str, **parameters: Any) -> list[dict[str, Any]]:
        """Follow NextToken and return the pages, ten at most.

        Raises:
            AwsCallError: as for `call`, or a page lacks `member` (a body that is not JSON parses to {}).
        """
        found = [await self.call(service, operation, **parameters)]
        while (token := found[-1].get("NextToken")) and len(found) < PAGES_AT_MOST:
            found.append(await self.call(service, operation, **parameters, NextToken=token))
        if not all(member in page for page in found):
            raise AwsCallError(f"{service}:{operation}", "NoAnswer", f"an answer without {member}")
        return found

    async def close(self) -> None:
        """Close all clients."""
        opened, self._open = self._open, AsyncExitStack()
        self._clients.clear()
        await opened.aclose()

    async def client(self, service: str) -> Any:
        """The client of a service, created on first use.

        Raises:
            BotoCoreError: region or profile cannot be used.
            ValueError: the endpoint in the environment is invalid.
        """
        if service not in self._clients:
            self._session = self._session or session_with_region(())
            # Reading a service's model takes a tenth of a second and more: a thread does it, not the event loop.
            config = client_config(connections=2, read_timeout_seconds=CALL_SECONDS).merge(
                AioConfig(warm_up_loader_caches=True)
            )
            making = self._session.create_client(service, region_name=self._region, config=config)
            self._clients[service] = await self._open.enter_async_context(making)
        return self._clients[service]
