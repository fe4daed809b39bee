"""Signed calls in AWS's JSON 1.0 protocol over connections of our own.

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

import msgspec
from botocore.utils import get_environ_proxies

from subscriber.adapters.aws.http_connection import HttpAnswer
from subscriber.adapters.aws.http_pool import DirectTransport, ProxiedTransport, Transport, origin_of
from subscriber.adapters.aws.session import call_error, first_line, is_permanent, plain_code
from subscriber.adapters.aws.signing import Credentials, Signer
from subscriber.errors import QueueCallError

SKEW_WORTH_CORRECTING_SECONDS = 240
"""AWS refuses signatures five minutes off ("Troubleshoot Signature Version 4"); botocore corrects from four."""

CREDENTIALS_SECONDS = 1.0
"""How long credentials are used before their source is asked again; it renews them minutes before they end."""

_SKEW_CODES = frozenset(
    {
        "RequestTimeTooSkewed",
        "RequestExpired",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "RequestInTheFuture",
    }
)
_SUCCESS = 200
_THROTTLED_STATUS = 429


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
        tls: how to verify the server, where the endpoint is https; None: by the system's authorities.
    """

    def __init__(
        self,
        endpoint_url: str,
        region: str,
        credentials: CredentialSource,
        *,
        connections: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        endpoint = urlsplit(endpoint_url)
        self._signer = Signer(endpoint.netloc, region)
        self._credentials = credentials
        self._signing: Credentials | None = None
        self._asked_at = 0.0
        self._skew_seconds = 0.0
        origin, proxy = origin_of(endpoint, tls), _proxy_for(endpoint_url)
        self._transport: Transport = (
            ProxiedTransport(origin, connections, proxy) if proxy else DirectTransport(origin, connections)
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def call(self, target: str, body: bytes, timeout_seconds: float) -> bytes:
        """The body of the answer to one call, within `timeout_seconds`, the wait for a free connection included.

        Where credentials have to be renewed first, that may take as long again.

        Raises:
            QueueCallError: whatever went wrong, in AWS's word or ours.
        """
        headers = await self._signed_headers(target, body, timeout_seconds)
        try:
            answer = await self._transport.post(headers, body, timeout_seconds)
        except TimeoutError as error:
            raise QueueCallError("Timeout", f"no answer within {timeout_seconds:g} s") from error
        except (OSError, ValueError) as error:  # ValueError: a host's name that is none
            raise call_error(error) from error
        if answer.status == _SUCCESS:
            return answer.content
        raise self._fault(answer)

    async def _signed_headers(self, target: str, body: bytes, timeout_seconds: float) -> dict[str, str]:
        now = time.time()
        if self._signing is None or not 0 <= now - self._asked_at < CREDENTIALS_SECONDS:
            self._signing, self._asked_at = await self._current_credentials(timeout_seconds), now
        return self._signer.headers(target, body, self._signing, now + self._skew_seconds)

    async def _current_credentials(self, timeout_seconds: float) -> Credentials:
        try:
            async with asyncio.timeout(timeout_seconds):
                frozen = await self._credentials.get_frozen_credentials()
        except Exception as error:
            raise call_error(error) from error
        if not all(text.isascii() and text.isprintable() for text in (frozen.access_key, frozen.token or "")):
            raise QueueCallError(
                "InvalidCredentials", "they hold a character that no header may have", is_permanent=True
            )
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    def _fault(self, answer: HttpAnswer) -> QueueCallError:
        """What an answer that is not 200 says; the query protocol's code counts, since the API reference lists it."""
        try:
            fault = _FAULT.decode(answer.content)
        except (ValueError, RecursionError):  # what msgspec and UTF-8 raise are ValueErrors
            fault = _Fault()
        code = plain_code(answer.header("x-amzn-query-error").partition(";")[0] or fault.kind)
        if not code:
            code = "Throttled" if answer.status == _THROTTLED_STATUS else f"Http{answer.status}"
        if code in _SKEW_CODES:
            self._correct_skew(answer.header("Date"))
        sentence = first_line(fault.message or fault.capital_message)
        return QueueCallError(code, sentence, is_permanent=is_permanent(code))

    def _correct_skew(self, date: str) -> None:
        """Believe the server's clock where ours is far off: the next call is signed with its time."""
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
