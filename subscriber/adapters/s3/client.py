"""Signed requests to one bucket; each is one attempt, and every failure is a ListingError.

aiobotocore builds, signs and parses a page from S3's model, which takes ten times the CPU (benchmarks/listing). But
botocore resolves credentials, region and endpoint, so roles, profiles, FIPS, dual-stack, access points and
AWS_ENDPOINT_URL work as usual.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import msgspec
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError

from subscriber.adapters.aws.credentials import once_credentials_come
from subscriber.adapters.aws.http_connection import HttpResponse
from subscriber.adapters.aws.http_pool import DirectTransport, ProxiedTransport, Transport, origin_of
from subscriber.adapters.aws.json_client import (
    CREDENTIALS_SECONDS,
    SKEW_WORTH_CORRECTING_SECONDS,
    CredentialSource,
    current_credentials,
    proxy_for,
    seconds_ahead,
)
from subscriber.adapters.aws.session import call_error, session_with_region, tls_context, unusable_settings
from subscriber.adapters.aws.signing import BucketSigner, Credentials, canonical_query
from subscriber.adapters.s3.endpoint import BucketEndpoint, bucket_endpoint
from subscriber.adapters.s3.fault import LISTING_RIGHTS, fault_of, region_in
from subscriber.errors import (
    NO_CREDENTIALS_REMEDY,
    ConfigurationError,
    ListingError,
    QueueCallError,
    QueueError,
    aws_error_kind,
)

_SUCCESS = frozenset({200, 206})
"""206 answers a request for a part of an object."""
_READING_RIGHTS = "the role needs s3:GetObject on it, and s3:ListBucket to tell a missing object from a denied one"
_WRITING_RIGHTS = "the role needs s3:PutObject on it"
_HEAD_RIGHTS = "the role needs s3:GetObject and s3:GetObjectVersion on it, and s3:ListBucket to tell a missing object"
_TAGGING_RIGHTS = "the role needs s3:GetObjectTagging and s3:GetObjectVersionTagging on it"


class BucketOptions(msgspec.Struct, frozen=True):
    """A bucket and how it is asked."""

    bucket: str
    """Name, or alias or ARN of an access point."""
    region: str | None = None
    """None: that of AWS's settings; a bucket elsewhere names its own region once."""
    is_requester_pays: bool = False
    """Whether we pay for the requests to a bucket that demands it (`x-amz-request-payer`)."""
    expected_owner: str | None = None
    """The account that must own the bucket, else S3 denies the request (`x-amz-expected-bucket-owner`)."""
    timeout_seconds: float = 30.0
    """For one request, the wait for a free connection included."""


class _Request(msgspec.Struct, frozen=True):
    """What is asked of the bucket, or of one of its objects."""

    method: str
    parameters: Mapping[str, str] = {}
    key: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""
    rights: str = LISTING_RIGHTS
    """What a role needs for it."""


class _Route(msgspec.Struct, frozen=True):
    """The way to a bucket in the region where we believe it to be."""

    endpoint: BucketEndpoint
    signer: BucketSigner
    transport: Transport


class BucketClient:
    """An async context: `async with BucketClient(options, connections) as client`.

    Args:
        options: the bucket.
        connections: the maximum of concurrent requests.
    """

    def __init__(self, options: BucketOptions, connections: int) -> None:
        self._options = options
        self._connections = connections
        self._open = AsyncExitStack()
        self._session: AioSession | None = None
        self._credentials: CredentialSource | None = None
        self._route: _Route | None = None
        self._moving = asyncio.Lock()
        self._has_moved = False
        self._signing: Credentials | None = None
        self._asked_at = 0.0
        self._skew_seconds = 0.0
        self._extra = {"x-amz-request-payer": "requester"} if options.is_requester_pays else {}
        if options.expected_owner:
            self._extra["x-amz-expected-bucket-owner"] = options.expected_owner

    async def __aenter__(self) -> Self:
        """Find credentials and endpoint.

        Raises:
            ConfigurationError: AWS's settings cannot be used, or the bucket cannot be listed.
            QueueError: there are no credentials.
        """
        try:
            await once_credentials_come(self._find)
        except (BotoCoreError, ValueError, OSError) as error:
            raise unusable_settings(error) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def get(self, parameters: Mapping[str, str]) -> HttpResponse:
        """Get the bucket with a query.

        Raises:
            ListingError: no answer, or one that is not 200.
        """
        return await self._ask(_Request("GET", parameters))

    async def head(self) -> HttpResponse:
        """Head of the bucket; raises as `get` does."""
        return await self._ask(_Request("HEAD"))

    async def get_object(self, key: str, headers: Mapping[str, str]) -> HttpResponse:
        """Get an object, or the part of it that `Range` names; header names are in lower case. Raises as `get` does."""
        return await self._ask(_Request("GET", key=key, headers=headers, rights=_READING_RIGHTS))

    async def head_object(self, key: str, version_id: str) -> HttpResponse:
        """Headers of an object version, its checksum among them; `null` names the null version. Raises as `get` does.

        A HEAD has no content, so a missing object and a missing bucket have the same code, `NoSuchBucket`.
        """
        headers = {"x-amz-checksum-mode": "ENABLED"}
        return await self._ask(_Request("HEAD", {"versionId": version_id}, key, headers, rights=_HEAD_RIGHTS))

    async def object_tagging(self, key: str, version_id: str) -> HttpResponse:
        """The tags of an object version; raises as `get` does."""
        parameters = {"tagging": "", "versionId": version_id}
        return await self._ask(_Request("GET", parameters, key, rights=_TAGGING_RIGHTS))

    async def put_object(self, key: str, body: bytes) -> HttpResponse:
        """Create or replace an object; raises as `get` does."""
        return await self._ask(_Request("PUT", key=key, body=body, rights=_WRITING_RIGHTS))

    async def _ask(self, request: _Request) -> HttpResponse:
        route = self._route_now()
        response = await self._send(route, request)
        if response.status in _SUCCESS:
            return response
        region = region_in(response)
        if region and region != route.endpoint.region and await self._move(region):
            response = await self._send(self._route_now(), request)
            if response.status in _SUCCESS:
                return response
        raise self._fault(response, request.rights)

    async def _send(self, route: _Route, request: _Request) -> HttpResponse:
        timeout_seconds = self._options.timeout_seconds
        query = canonical_query(request.parameters)
        path = route.signer.object_path(request.key) if request.key else route.endpoint.path
        target = f"{path}?{query}" if query else path
        now = time.time()
        try:
            if self._signing is None or not 0 <= now - self._asked_at < CREDENTIALS_SECONDS:
                assert self._credentials is not None
                self._signing, self._asked_at = await current_credentials(self._credentials, timeout_seconds), now
            extra = {**self._extra, **request.headers}
            headers = route.signer.headers(
                request.method, query, extra, self._signing, now + self._skew_seconds, path=path, body=request.body
            )
            if request.method == "PUT":
                return await route.transport.put(target, headers, request.body, timeout_seconds)
            if request.method == "HEAD":
                return await route.transport.head(target, headers, timeout_seconds)
            return await route.transport.get(target, headers, timeout_seconds)
        except QueueCallError as error:
            raise ListingError(error.code, error.detail, is_permanent=error.is_permanent) from error
        except TimeoutError as error:
            raise ListingError("Timeout", f"no answer within {timeout_seconds:g} s") from error
        except (OSError, ValueError) as error:  # ValueError: an invalid host name
            code = call_error(error).code
            raise ListingError(code, str(error), is_permanent=isinstance(error, ValueError)) from error

    def _fault(self, response: HttpResponse, rights: str) -> ListingError:
        error = fault_of(response, rights)
        skew_seconds = seconds_ahead(response.header("Date"))
        if not aws_error_kind(error.code).suggests_clock_skew or skew_seconds is None:
            return error
        if abs(skew_seconds - self._skew_seconds) <= SKEW_WORTH_CORRECTING_SECONDS:
            return error
        self._skew_seconds = skew_seconds
        return ListingError(error.code, error.detail)  # the next attempt has the server's time

    async def _move(self, region: str) -> bool:
        """Go on in the region that S3 has named; False: it has named another one before."""
        async with self._moving:
            if self._route_now().endpoint.region == region:
                return True
            if self._has_moved:
                return False
            self._has_moved = True
            try:
                await self._go_to(region)
            except ConfigurationError as error:
                raise ListingError("WrongRegion", f"the answer names {region!r}: {error}", is_permanent=True) from error
            return True

    async def _find(self) -> None:
        self._session = session_with_region(())
        self._credentials = await self._session.get_credentials()
        if self._credentials is None:
            text = "no AWS credentials were found in environment, profile or container role"
            raise QueueError(f"bucket {self._options.bucket}: {text}; {NO_CREDENTIALS_REMEDY}")
        await self._go_to(self._options.region)

    async def _go_to(self, region: str | None) -> None:
        assert self._session is not None
        endpoint = await bucket_endpoint(self._session, self._options.bucket, region)
        origin = origin_of(endpoint.url, tls_context(self._session))
        proxy, connections = proxy_for(endpoint.origin), self._connections
        transport: Transport = (
            ProxiedTransport(origin, connections, proxy) if proxy else DirectTransport(origin, connections)
        )
        self._open.push_async_callback(transport.close)
        signer = BucketSigner(endpoint.url.netloc, endpoint.path, endpoint.region, endpoint.service)
        self._route = _Route(endpoint, signer, transport)

    def _route_now(self) -> _Route:
        assert self._route is not None, "the client is not open"
        return self._route
