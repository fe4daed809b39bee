"""Waits for credentials at the start: the endpoint that gives a task its role may answer a moment later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from botocore.exceptions import ConnectionError as AwsConnectionError
from botocore.exceptions import CredentialRetrievalError, HTTPClientError, MetadataRetrievalError

from subscriber.errors import QueueError
from subscriber.flow.backoff import Backoff
from subscriber.observe.log import get_logger

ATTEMPTS = 5
BACKOFF = Backoff(first_seconds=0.25, max_seconds=2.0, jitter=0.5)
"""Between attempts; botocore makes some tries of its own within each."""

NOT_YET = (CredentialRetrievalError, MetadataRetrievalError, HTTPClientError, AwsConnectionError)
"""The source of the credentials is known and has failed; any other error of botocore is a mistake in AWS's settings."""

_REMEDY = "check the task's role, and the endpoint, file or process from which AWS's variables take credentials"

_log = get_logger()

T = TypeVar("T")


async def once_credentials_come(attempt: Callable[[], Awaitable[T]]) -> T:
    """Do what needs credentials, five times at most while their source fails.

    Raises:
        QueueError: it failed five times.
    """
    for number in range(1, ATTEMPTS):
        try:
            return await attempt()
        except NOT_YET as error:
            _log.warning("credentials.waiting", reason=type(error).__name__, detail=str(error))
        await asyncio.sleep(BACKOFF.delay_seconds(number))
    try:
        return await attempt()
    except NOT_YET as error:
        text = f"no AWS credentials after {ATTEMPTS} attempts: {str(error).rstrip('.')}"
        raise QueueError(f"{text}; {_REMEDY}") from error
