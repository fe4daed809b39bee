"""Signed calls in AWS's JSON 1.0 protocol, for the three SQS operations of the hot path.

aiobotocore builds, signs and parses a call from its service's model, which takes about a millisecond; this client
avoids that cost. botocore still resolves credentials, region and endpoint, so roles, profiles, FIPS, dual-stack and
AWS_ENDPOINT_URL work as usual.
"""

from __future__ import annotations

import asyncio
import math
import re
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec
from botocore.utils import get_environ_proxies

from subscriber.adapters.aws.http_connection import HttpResponse
from subscriber.adapters.aws.http_pool import DirectTransport, ProxiedTransport, Transport, origin_of
from subscriber.adapters.aws.session import RETRY_AFTER, call_error, first_line, plain_code, retry_after_seconds
from subscriber.adapters.aws.signing import Credentials, Signer
from subscriber.errors import QueueCallError, aws_error_kind

CLOCK_COMPARISON_SECONDS = 1.0
"""Between two comparisons of the clocks."""

CLOCK_TOLERANCE_SECONDS = 5.0
"""Two clocks that differ by less count as equal: a Date header has whole seconds, and an answer travels."""

SKEW_WORTH_CORRECTING_SECONDS = 240
"""AWS rejects signatures that are five minutes off ("Troubleshoot Signature Version 4"); botocore corrects at four."""

CREDENTIALS_SECONDS = 1.0
"""How long credentials are reused before their source is called again; it renews them minutes before they expire."""

_SUCCESS = 200
_THROTTLED_STATUS = 429


class CredentialSource(Protocol):
    """botocore's credentials, which renew themselves on access."""

    async def get_frozen_credentials(self) -> Any:
        """The current access_key, secret_key and token."""
        ...


_SIDES = frozenset({"Sender", "Receiver"})
"""Values of `Type` in an error of SQS's query protocol ("Amazon SQS API Reference", "Common Errors")."""
_CODE_FIRST = re.compile(r"([A-Za-z]+(?:\.[A-Za-z]+)*);")


class _Fault(msgspec.Struct):
    """The body of an error response."""

    kind: str = msgspec.field(default="", name="__type")
    message: str = ""
    capital_message: str = msgspec.field(default="", name="Message")

    @property
    def code(self) -> str:
        """The error code; ElasticMQ says only whose fault it is, and begins its message with the code."""
        if self.kind not in _SIDES:
            return self.kind
        found = _CODE_FIRST.match(self.message or self.capital_message)
        return found[1] if found else self.kind


_FAULT = msgspec.json.Decoder(_Fault)


class JsonClient:
    """Posts signed bodies to one endpoint; the owner calls `close`.

    Args:
        endpoint_url: as botocore resolved it.
        region: of the signature.
        credentials: sign the requests.
        connections: the maximum of concurrent calls.
        tls: verifies an https server; None: the system's CAs.
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
        self._compare_at = -math.inf
        self.server_ahead_seconds = 0.0
        """How far the server's clock is ahead of ours, by the newest answers; 0 if they hardly differ."""
        origin, proxy = origin_of(endpoint, tls), proxy_for(endpoint_url)
        self._transport: Transport = (
            ProxiedTransport(origin, connections, proxy) if proxy else DirectTransport(origin, connections)
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def call(self, target: str, body: bytes, timeout_seconds: float) -> bytes:
        """Post `body` and return the body of the response.

        Args:
            target: `x-amz-target`, service and operation.
            body: JSON.
            timeout_seconds: for the call, the wait for a free connection included; renewing credentials may take as
                long again.

        Raises:
            QueueCallError: any failure, with AWS's error code or the name of the network failure.
        """
        headers = await self._signed_headers(target, body, timeout_seconds)
        try:
            response = await self._transport.post(headers, body, timeout_seconds)
        except TimeoutError as error:
            raise QueueCallError("Timeout", f"no answer within {timeout_seconds:g} s") from error
        except (OSError, ValueError) as error:  # ValueError: an invalid host name
            raise call_error(error) from error
        if response.status == _SUCCESS:
            if asyncio.get_running_loop().time() >= self._compare_at:
                self._compare_clocks(response.header("Date"))
            return response.content
        raise self._fault(response)

    async def _signed_headers(self, target: str, body: bytes, timeout_seconds: float) -> dict[str, str]:
        now = time.time()
        if self._signing is None or not 0 <= now - self._asked_at < CREDENTIALS_SECONDS:
            self._signing, self._asked_at = await current_credentials(self._credentials, timeout_seconds), now
        return self._signer.headers(target, body, self._signing, now + self._skew_seconds)

    def _fault(self, response: HttpResponse) -> QueueCallError:
        """The error of a response that is not 200; the query protocol's code has priority (see `call_error`)."""
        try:
            fault = _FAULT.decode(response.content)
        except (ValueError, RecursionError):  # decoding errors of msgspec and UTF-8 are ValueErrors
            fault = _Fault()
        code = plain_code(response.header("x-amzn-query-error").partition(";")[0] or fault.code)
        if not code:
            code = "Throttled" if response.status == _THROTTLED_STATUS else f"Http{response.status}"
        kind = aws_error_kind(code)
        if kind.suggests_clock_skew:
            self._correct_skew(response.header("Date"))
        sentence = first_line(fault.message or fault.capital_message)
        asked = retry_after_seconds(response.header(RETRY_AFTER))
        return QueueCallError(code, sentence, is_permanent=kind.is_permanent, retry_after_seconds=asked)

    def _correct_skew(self, date: str) -> None:
        """Sign the next calls with the server's time if our clock differs too much."""
        skew = seconds_ahead(date)
        if skew is not None and abs(skew - self._skew_seconds) > SKEW_WORTH_CORRECTING_SECONDS:
            self._skew_seconds = skew

    def _compare_clocks(self, date: str) -> None:
        """Once a second: looking up a header of every answer would cost more than reading a message."""
        self._compare_at = asyncio.get_running_loop().time() + CLOCK_COMPARISON_SECONDS
        ahead = seconds_ahead(date)
        self.server_ahead_seconds = ahead if ahead is not None and abs(ahead) > CLOCK_TOLERANCE_SECONDS else 0.0


async def current_credentials(source: CredentialSource, timeout_seconds: float) -> Credentials:
    """The credentials of a source, in a form that a header can contain.

    Raises:
        QueueCallError: the source failed or took longer than `timeout_seconds`.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            frozen = await source.get_frozen_credentials()
    except Exception as error:
        raise call_error(error) from error
    if not all(text.isascii() and text.isprintable() for text in (frozen.access_key, frozen.token or "")):
        raise QueueCallError(
            "InvalidCredentials", "they contain a character that an HTTP header cannot contain", is_permanent=True
        )
    return Credentials(frozen.access_key, frozen.secret_key, frozen.token)


def seconds_ahead(date: str) -> float | None:
    """How far a Date header is ahead of our clock; None: it is unreadable."""
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except ValueError:
        return None


def proxy_for(endpoint_url: str) -> str | None:
    """The proxy that the environment names for the endpoint; without a scheme it is an HTTP proxy, as in botocore."""
    proxy: str | None = get_environ_proxies(endpoint_url).get(urlsplit(endpoint_url).scheme)
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy
