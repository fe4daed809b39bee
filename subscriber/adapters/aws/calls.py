"""Calls of AWS services that are asked seldom: bounded in time, and every failure one sentence."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from subscriber.adapters.aws.session import call_error, client_config, session_with_region
from subscriber.errors import SensorError

CALL_SECONDS = 5.0
"""These services answer in tenths of a second; what takes longer is late for a decision anyway."""
PAGES_AT_MOST = 10
CALL_ERRORS = (ClientError, BotoCoreError, OSError, RuntimeError, ValueError)
"""What a call raises that fails. RuntimeError: credentials are still expired; ValueError: the endpoint in the
environment is none."""

_DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthFailure", "NotAuthorizedException", "UnauthorizedOperation"}
)


class AwsCallError(SensorError):
    """One call failed. `code` is the service's word, or the name of the network's failure."""

    def __init__(self, action: str, code: str, detail: str) -> None:
        self.code = code
        self.detail = detail
        self.is_denied = code in _DENIED
        advice = f" (the role needs {action})" if self.is_denied else ""
        super().__init__(f"{action} failed: {code}: {detail or 'no more was said'}{advice}")


class AwsCalls:
    """Clients of aiobotocore, made when they are first needed, in one region.

    Credentials, profiles and `AWS_ENDPOINT_URL_PI`, `_RDS` and their like count as everywhere. `close` may
    be called at any time: the next call opens what it needs anew.
    """

    def __init__(self, region: str | None) -> None:
        self._region = region
        self._session: AioSession | None = None
        self._clients: dict[str, Any] = {}
        self._open = AsyncExitStack()

    async def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """The answer to one call, by the names of botocore ("pi") and of the API reference ("GetResourceMetrics").

        Raises:
            AwsCallError: there is none, or not within five seconds; making a client comes on top once.
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

    async def pages(self, service: str, operation: str, answered: str, **parameters: Any) -> list[dict[str, Any]]:
        """The answers of all pages, by NextToken; of a list without end the first ten.

        Raises:
            AwsCallError: as for `call`, or because a page has no `answered`: what is no JSON has nothing.
        """
        found = [await self.call(service, operation, **parameters)]
        while (token := found[-1].get("NextToken")) and len(found) < PAGES_AT_MOST:
            found.append(await self.call(service, operation, **parameters, NextToken=token))
        if not all(answered in page for page in found):
            raise AwsCallError(f"{service}:{operation}", "NoAnswer", f"an answer without {answered}")
        return found

    async def close(self) -> None:
        """Close the clients there are."""
        opened, self._open = self._open, AsyncExitStack()
        self._clients.clear()
        await opened.aclose()

    async def client(self, service: str) -> Any:
        """The client of a service, made when it is first asked for.

        Raises:
            BotoCoreError: region or profile cannot be used.
            ValueError: the endpoint in the environment is none.
        """
        if service not in self._clients:
            self._session = self._session or session_with_region(())
            # Reading a service's model takes a tenth of a second and more: in a thread, not on the line's loop.
            config = client_config(connections=2, read_timeout_seconds=CALL_SECONDS).merge(
                AioConfig(warm_up_loader_caches=True)
            )
            making = self._session.create_client(service, region_name=self._region, config=config)
            self._clients[service] = await self._open.enter_async_context(making)
        return self._clients[service]
