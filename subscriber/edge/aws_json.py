"""Signed calls in AWS's JSON 1.0 protocol over a connection pool of our own.

aiobotocore builds, signs and parses a call by its service's model, which costs about a millisecond; three calls of SQS
are made so often that they go through here instead. Credentials, region and endpoint stay botocore's business: they
are asked of its session and client, so roles, profiles, FIPS, dual-stack and AWS_ENDPOINT_URL keep their meaning.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp
import msgspec
from botocore.utils import get_environ_proxies
from yarl import URL

from subscriber.edge.aws import CONNECT_TIMEOUT_SECONDS, call_error, is_permanent, plain_code
from subscriber.edge.signing import Credentials, Signer
from subscriber.errors import QueueCallError

SKEW_WORTH_CORRECTING_SECONDS = 240
"""AWS refuses signatures five minutes off ("Troubleshoot Signature Version 4"); botocore corrects from four."""

KEEPALIVE_SECONDS = 12
"""AWS closes a connection that was idle for twenty; this is botocore's own figure."""

READ_BYTES = 262_144
"""Ten large messages in few reads: the default of 64 KiB would pause the transport again and again."""

_SKEW_CODES = frozenset(
    {
        "RequestTimeTooSkewed",
        "RequestExpired",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "RequestInTheFuture",
    }
)
_THROTTLED_STATUS = 429
_NO_AUTOMATIC_HEADERS = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")


class CredentialSource(Protocol):
    """botocore's credentials, which renew themselves when they are asked."""

    async def get_frozen_credentials(self) -> Any:
        """A moment's access_key, secret_key and token."""
        ...


class _Fault(msgspec.Struct):
    """The body of an answer that is an error."""

    kind: str = msgspec.field(default="", name="__type")
    message: str = ""
    capital_message: str = msgspec.field(default="", name="Message")


_FAULT = msgspec.json.Decoder(_Fault)


class JsonClient:
    """Posts signed bodies to one endpoint. An async context is not needed; call `close`.

    Args:
        endpoint_url: as botocore resolved it.
        region: for the signature.
        credentials: whom to sign for.
        connections: most calls under way at once.
        tls: how to verify the server.
    """

    def __init__(
        self,
        endpoint_url: str,
        region: str,
        credentials: CredentialSource,
        *,
        connections: int,
        tls: ssl.SSLContext | bool = True,
    ) -> None:
        parts = urlsplit(endpoint_url)
        self._url = URL(f"{parts.scheme}://{parts.netloc}/")
        self._signer = Signer(parts.netloc, region)
        self._credentials = credentials
        self._proxy = _proxy_for(endpoint_url)
        self._skew_seconds = 0.0
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=tls, keepalive_timeout=KEEPALIVE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_NO_AUTOMATIC_HEADERS,
            read_bufsize=READ_BYTES,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def call(self, target: str, body: bytes, timeout_seconds: float) -> bytes:
        """The body of the answer to one call, waiting `timeout_seconds` at most, a free connection included.

        Raises:
            QueueCallError: whatever went wrong, in AWS's word or ours.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._call(target, body)
        except TimeoutError as error:
            raise QueueCallError("Timeout", f"no answer within {timeout_seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise call_error(error) from error

    async def _call(self, target: str, body: bytes) -> bytes:
        try:
            frozen = await self._credentials.get_frozen_credentials()
        except Exception as error:
            raise call_error(error) from error
        credentials = Credentials(frozen.access_key, frozen.secret_key, frozen.token)
        headers = self._signer.headers(target, body, credentials, time.time() + self._skew_seconds)
        async with self._session.post(self._url, data=body, headers=headers, proxy=self._proxy) as answer:
            content = await answer.read()
            if answer.status == 200:
                return content
            raise self._fault(answer, content)

    def _fault(self, answer: aiohttp.ClientResponse, content: bytes) -> QueueCallError:
        """What an answer that is not 200 says; the query protocol's code counts, since the API reference lists it."""
        try:
            fault = _FAULT.decode(content)
        except (ValueError, RecursionError):  # what msgspec and UTF-8 raise are ValueErrors
            fault = _Fault()
        code = plain_code(answer.headers.get("x-amzn-query-error", "").partition(";")[0] or fault.kind)
        if not code:
            code = "Throttled" if answer.status == _THROTTLED_STATUS else f"Http{answer.status}"
        if code in _SKEW_CODES:
            self._correct_skew(answer.headers.get("Date"))
        return QueueCallError(code, fault.message or fault.capital_message, is_permanent=is_permanent(code))

    def _correct_skew(self, date: str | None) -> None:
        """Believe the server's clock where ours is far off: the next call is signed with its time."""
        if date is None:
            return
        try:
            skew = parsedate_to_datetime(date).timestamp() - time.time()
        except ValueError:
            return
        if abs(skew - self._skew_seconds) > SKEW_WORTH_CORRECTING_SECONDS:
            self._skew_seconds = skew


def _proxy_for(endpoint_url: str) -> str | None:
    """The proxy the environment names for the endpoint; one without a scheme is spoken to in HTTP, as by botocore."""
    proxy: str | None = get_environ_proxies(endpoint_url).get(urlsplit(endpoint_url).scheme)
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy
