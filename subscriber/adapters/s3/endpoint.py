"""Where the requests to a bucket go, by botocore's own rules.

The rules (regions, FIPS, dual-stack, access points, addressing style, AWS_ENDPOINT_URL_S3, the shared configuration)
are data of botocore, a tenth of a megabyte. So botocore builds one request, and what it is about to sign says it all.
"""

from __future__ import annotations

from typing import Any, NoReturn
from urllib.parse import SplitResult, urlsplit

import msgspec
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError

from subscriber.adapters.aws.session import unusable_settings
from subscriber.errors import ConfigurationError

_DIRECTORY_BUCKET = "v4-s3express"


class BucketEndpoint(msgspec.Struct, frozen=True):
    """Where a bucket is, and how requests to it are signed."""

    origin: str
    """Scheme, host and port."""
    path: str
    """Of the bucket at this host, percent-encoded: `/`, or `/bucket` in path style."""
    region: str
    service: str
    """Signing name, `s3` for most."""

    @property
    def url(self) -> SplitResult:
        """The origin, split."""
        return urlsplit(self.origin)


class _Request(msgspec.Struct):
    """What botocore is about to sign."""

    url: str
    region: str
    service: str
    version: str


class _BuiltError(Exception):
    """Ends botocore's call before anything is signed or sent."""

    def __init__(self, request: _Request) -> None:
        self.request = request
        super().__init__(request.url)


async def bucket_endpoint(session: AioSession, bucket: str, region: str | None = None) -> BucketEndpoint:
    """The endpoint of a bucket.

    Args:
        session: gives region and settings.
        bucket: name, or alias or ARN of an access point.
        region: overrides the session's.

    Raises:
        ConfigurationError: no bucket has such a name, it cannot be listed in order, or AWS's settings are unusable.
    """
    request = await _built_request(session, bucket, region)
    if request.version == _DIRECTORY_BUCKET:
        raise ConfigurationError(f"{bucket} is a directory bucket, whose listings have no order: it cannot be compared")
    parts = urlsplit(request.url)
    return BucketEndpoint(f"{parts.scheme}://{parts.netloc}", parts.path or "/", request.region, request.service)


async def _built_request(session: AioSession, bucket: str, region: str | None) -> _Request:
    # Reading the model of S3 takes a tenth of a second and more: a thread does it, not the event loop.
    config = AioConfig(warm_up_loader_caches=True)
    try:
        async with session.create_client("s3", region_name=region, config=config) as client:
            client.meta.events.register_last("before-sign.s3", _stop)
            await client.list_objects_v2(Bucket=bucket)
    except _BuiltError as built:
        return built.request
    except (BotoCoreError, ValueError, OSError) as error:
        if type(error).__name__ == "MissingDependencyException":
            text = "is a Multi-Region Access Point, whose signature this program does not have: name one of its buckets"
            raise ConfigurationError(f"{bucket} {text}") from error
        if type(error).__name__ == "ParamValidationError":
            raise ConfigurationError(f"{bucket!r} is neither a bucket's name nor an access point's ARN") from error
        raise unusable_settings(error) from error
    raise ConfigurationError("botocore signed no request: is the bucket to be read without signatures?")


def _stop(request: Any, signing_name: str, region_name: str, signature_version: str, **_: Any) -> NoReturn:
    """An access point's ARN may name another region than the client's: the request's own context has priority."""
    context = request.context.get("signing", {})
    region, service = context.get("region") or region_name, context.get("signing_name") or signing_name
    raise _BuiltError(_Request(request.url, region, service, signature_version))
