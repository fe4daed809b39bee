"""What every AWS call of ours shares: the region, the session, and the words for what went wrong."""

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

from subscriber.errors import ConfigurationError, QueueCallError

CONNECT_TIMEOUT_SECONDS = 5
_SENTENCE_CHARACTERS = 500
AWS_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".api.amazonwebservices.com.cn")

_PERMANENT = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "InvalidAddress",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "QueueDoesNotExist",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
        "NoCredentials",
        "KmsAccessDenied",
        "KmsDisabled",
        "KmsNotFound",
    }
)
"""Codes that do not pass by waiting: somebody has to change something (SQS API reference, common errors)."""


def unusable_settings(error: Exception) -> ConfigurationError:
    """What to say where AWS's own variables, or the files they lead to, make no client."""
    variables = "look at AWS_PROFILE, AWS_REGION and AWS_ENDPOINT_URL (which takes http:// or https:// and a host)"
    return ConfigurationError(f"the AWS settings cannot be used: {str(error).rstrip('.')}; {variables}")


def region_of(queue_url: str) -> str | None:
    """The region a queue's URL names; None where its host is not AWS's (emulators, custom endpoints).

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
    """See that calls for `queue_url` would reach it at `endpoint_url`, which botocore has resolved.

    Raises:
        ConfigurationError: the endpoint has a path, or the queue is on a host of its own while calls would go to AWS.
    """
    if urlsplit(endpoint_url).path not in {"", "/"}:
        raise ConfigurationError(f"the endpoint {endpoint_url} has a path; an endpoint of SQS is a host alone")
    host = urlsplit(queue_url).hostname or ""
    if (urlsplit(endpoint_url).hostname or "").endswith(AWS_DOMAINS) and not host.endswith(AWS_DOMAINS):
        origin = "://".join(urlsplit(queue_url)[:2])
        text = f"the queue {queue_url} is not on an AWS host, but calls would go to {endpoint_url}"
        raise ConfigurationError(f"{text}: set AWS_ENDPOINT_URL_SQS={origin}")


def session_with_region(queue_urls: tuple[str, ...]) -> AioSession:
    """A session that knows credentials and region as botocore finds them (environment, profile, roles).

    ECS and every other SDK speak of AWS_REGION; botocore alone reads AWS_DEFAULT_REGION. Both count, the first first.

    Raises:
        ConfigurationError: a queue's URL names no region and neither does the environment.
    """
    session = get_session()
    if region := os.environ.get("AWS_REGION"):
        session.set_config_variable("region", region)
    nameless = [url for url in queue_urls if region_of(url) is None]
    if nameless and not session.get_config_variable("region"):
        raise ConfigurationError(f"the queue URL {nameless[0]} names no region: set AWS_REGION")
    return session


def client_config(*, connections: int, read_timeout_seconds: float) -> AioConfig:
    """One client's settings. botocore's own retries are off: a call is repeated in one place, by who made it."""
    return AioConfig(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=read_timeout_seconds,
        max_pool_connections=connections,
        retries={"mode": "standard", "total_max_attempts": 1},
    )


def plain_code(code: str) -> str:
    """An error code without what the protocols put around it, in the API reference's own word."""
    word = code.rsplit("#", 1)[-1].removeprefix("AWS.SimpleQueueService.")
    return "QueueDoesNotExist" if word == "NonExistentQueue" else word


def is_permanent(code: str) -> bool:
    """Whether somebody has to change something before the same call can succeed."""
    return code in _PERMANENT


def first_line(text: str) -> str:
    """As much of a service's sentence as may be shown to anybody.

    The lines after the first of a refused signature repeat the request as it was signed, session token included
    ("Troubleshoot Signature Version 4", IAM user guide).
    """
    return (text.strip().splitlines() or [""])[0][:_SENTENCE_CHARACTERS]


def call_error(error: BaseException) -> QueueCallError:
    """Our word for whatever a call through aiobotocore, or its credentials, raised.

    The JSON protocol answers with a new code and, in a header, the code of the query protocol: the latter wins, since
    it is the one the API reference lists.
    """
    if isinstance(error, ClientError):
        answer = error.response.get("Error", {})
        code = plain_code(str(answer.get("QueryErrorCode") or answer.get("Code") or "Unknown"))
        return QueueCallError(code, first_line(str(answer.get("Message", ""))), is_permanent=is_permanent(code))
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return QueueCallError("NoCredentials", str(error), is_permanent=True)
    if isinstance(error, BotoCoreError):
        return QueueCallError(type(error).__name__.removesuffix("Error"), str(error))
    return QueueCallError("Timeout" if isinstance(error, TimeoutError) else type(error).__name__, str(error))
