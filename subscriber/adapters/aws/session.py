"""Region, session and error translation, shared by every AWS call."""

from __future__ import annotations

import os
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

CONNECT_TIMEOUT_SECONDS = 5
_SENTENCE_CHARACTERS = 500
AWS_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".api.amazonwebservices.com.cn")


def unusable_settings(error: Exception) -> ConfigurationError:
    """The error to raise where AWS's variables, or the files that they name, do not give a client."""
    variables = "check AWS_PROFILE, AWS_REGION and AWS_ENDPOINT_URL (http:// or https:// and a host)"
    return ConfigurationError(f"the AWS settings cannot be used: {str(error).rstrip('.')}; {variables}")


def region_of(queue_url: str) -> str | None:
    """The region in a queue URL; None if the host is not AWS's (emulators, custom endpoints).

    `sqs.REGION.amazonaws.com` with its FIPS, dual-stack and Chinese forms, and the legacy `REGION.queue.amazonaws.com`
    and `queue.amazonaws.com` (SQS endpoints, AWS General Reference).
    """
    host = urlsplit(queue_url).hostname or ""
    if not host.endswith(AWS_DOMAINS):
        return None
    match host.split("."):
        case ["sqs" | "sqs-fips", region, *_] | [region, "queue", *_]:
            return region
        case ["queue", *_]:
            return "us-east-1"
        case _:
            return None


def require_usable_endpoint(queue_url: str, endpoint_url: str) -> None:
    """Check that calls to `endpoint_url`, which botocore has resolved, reach the queue.

    Raises:
        ConfigurationError: the endpoint has a path, or the queue is on a host other than AWS's while calls go to AWS.
    """
    if urlsplit(endpoint_url).path not in {"", "/"}:
        raise ConfigurationError(f"the endpoint {endpoint_url} has a path; an SQS endpoint is a host without a path")
    host = urlsplit(queue_url).hostname or ""
    if (urlsplit(endpoint_url).hostname or "").endswith(AWS_DOMAINS) and not host.endswith(AWS_DOMAINS):
        origin = "://".join(urlsplit(queue_url)[:2])
        text = f"the queue {queue_url} is not on an AWS host, but calls would go to {endpoint_url}"
        raise ConfigurationError(f"{text}: set AWS_ENDPOINT_URL_SQS={origin}")


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


def plain_code(code: str) -> str:
    """An error code as the API reference spells it, without the prefixes of the protocols."""
    word = code.rsplit("#", 1)[-1].removeprefix("AWS.SimpleQueueService.")
    return "QueueDoesNotExist" if word == "NonExistentQueue" else word


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
        return QueueCallError(
            code, first_line(str(answer.get("Message", ""))), is_permanent=aws_error_kind(code).is_permanent
        )
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return QueueCallError("NoCredentials", str(error), is_permanent=True)
    if isinstance(error, BotoCoreError):
        return QueueCallError(type(error).__name__.removesuffix("Error"), str(error))
    return QueueCallError("Timeout" if isinstance(error, TimeoutError) else type(error).__name__, str(error))
