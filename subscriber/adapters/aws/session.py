"""Region, session and error translation, shared by every AWS call."""

from __future__ import annotations

import os
import ssl
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
)

from subscriber.errors import ConfigurationError, QueueCallError, aws_error_kind
from subscriber.queue_url import host_of, is_aws_host, queue_host, region_of

CONNECT_TIMEOUT_SECONDS = 5
RETRY_AFTER = "x-amz-retry-after"
_SENTENCE_CHARACTERS = 500
_DIGITS_AT_MOST = 9
"""Of a number of milliseconds: eleven days."""


def unusable_settings(error: Exception) -> ConfigurationError:
    """The error to raise where AWS's variables, or the files that they name, do not give a client."""
    bundle = "AWS_CA_BUNDLE (a file of certificates as PEM), " if os.environ.get("AWS_CA_BUNDLE") else ""
    variables = f"check {bundle}AWS_PROFILE, AWS_REGION and AWS_ENDPOINT_URL (http:// or https:// and a host)"
    return ConfigurationError(f"the AWS settings cannot be used: {str(error).rstrip('.')}; {variables}")


def endpoint_of(queue_url: str, resolved_url: str) -> str:
    """The endpoint for the calls about a queue. Pure.

    A FIPS, dual-stack or VPC endpoint in the queue's URL is meant that way, so it is used; botocore reads only the
    region of it. But AWS's own variables have priority: an endpoint other than the region's default is theirs.

    Args:
        queue_url: of the queue.
        resolved_url: the endpoint that botocore has resolved from variables and region.

    Raises:
        ConfigurationError: the endpoint has a path, or calls would go to AWS although the queue's host is no endpoint
            of SQS.
    """
    endpoint = urlsplit(resolved_url)
    if endpoint.path not in {"", "/"}:
        raise ConfigurationError(f"the endpoint {resolved_url} has a path; an SQS endpoint is a host without a path")
    resolved, host = queue_host(endpoint.hostname or ""), host_of(queue_url)
    named = queue_host(host)
    origin = "://".join(urlsplit(queue_url)[:2])
    if named is None and host != endpoint.hostname and is_aws_host(endpoint.hostname or ""):
        kind = "no endpoint of SQS that is known" if is_aws_host(host) else "not an AWS host"
        text = f"the host of the queue {queue_url} is {kind}, and calls would go to {resolved_url}"
        raise ConfigurationError(f"{text}: set AWS_ENDPOINT_URL_SQS={origin}")
    is_default = resolved is not None and resolved.kind == "plain"
    is_meant = is_default and named is not None and named.kind == "special"
    return f"https://{urlsplit(queue_url).netloc}" if is_meant else resolved_url


def session_with_region(queue_urls: tuple[str, ...]) -> AioSession:
    """A session with the credentials and region that botocore finds (environment, profile, roles).

    ECS and the other SDKs use AWS_REGION; botocore alone reads AWS_DEFAULT_REGION. AWS_REGION has priority here.

    Raises:
        ConfigurationError: neither a queue URL nor the environment names a region.
    """
    session = get_session()
    if region := os.environ.get("AWS_REGION"):
        session.set_config_variable("region", region)
    nameless = [url for url in queue_urls if region_of(url) is None]
    if nameless and not session.get_config_variable("region"):
        raise ConfigurationError(f"the queue URL {nameless[0]} names no region: set AWS_REGION")
    return session


def client_config(*, connections: int, read_timeout_seconds: float) -> AioConfig:
    """The configuration of a client. botocore does not retry; the caller does."""
    return AioConfig(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=read_timeout_seconds,
        max_pool_connections=connections,
        retries={"mode": "standard", "total_max_attempts": 1},
    )


def tls_context(session: AioSession) -> ssl.SSLContext:
    """The TLS context: the CAs of AWS_CA_BUNDLE if it is set, else the system's."""
    return ssl.create_default_context(cafile=session.get_config_variable("ca_bundle"))


def plain_code(code: str) -> str:
    """An error code as the API reference spells it, without the prefixes of the protocols."""
    word = code.rsplit("#", 1)[-1].removeprefix("AWS.SimpleQueueService.")
    return "QueueDoesNotExist" if word == "NonExistentQueue" else word


def retry_after_seconds(header: str) -> float:
    """The value of `x-amz-retry-after`, which is in milliseconds; 0 if it is absent or no number of them."""
    return int(header) / 1000 if header.isascii() and header.isdigit() and len(header) <= _DIGITS_AT_MOST else 0.0


def first_line(text: str) -> str:
    """The part of a service's error message that is safe to log: its first line, cut to 500 characters.

    After an invalid signature the further lines repeat the signed request, session token included ("Troubleshoot
    Signature Version 4", IAM User Guide).
    """
    return (text.strip().splitlines() or [""])[0][:_SENTENCE_CHARACTERS]


def call_error(error: BaseException) -> QueueCallError:
    """Translate an exception of aiobotocore, or of its credentials.

    The JSON protocol returns a new code and, in a header, the code of the query protocol; the latter has priority,
    because the API reference lists it.
    """
    if isinstance(error, ClientError):
        answer = error.response.get("Error", {})
        code = plain_code(str(answer.get("QueryErrorCode") or answer.get("Code") or "Unknown"))
        headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        return QueueCallError(
            code,
            first_line(str(answer.get("Message", ""))),
            is_permanent=aws_error_kind(code).is_permanent,
            retry_after_seconds=retry_after_seconds(str(headers.get(RETRY_AFTER, ""))),
        )
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return QueueCallError("NoCredentials", str(error), is_permanent=True)
    if isinstance(error, BotoCoreError):
        return QueueCallError(type(error).__name__.removesuffix("Error"), str(error))
    return QueueCallError("Timeout" if isinstance(error, TimeoutError) else type(error).__name__, str(error))
