"""Logins that AWS gives: an IAM token, or a password from Secrets Manager."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from subscriber.adapters.aws.calls import AwsCalls
from subscriber.adapters.aws.credentials import once_credentials_come
from subscriber.adapters.aws.rds_endpoint import rds_endpoint
from subscriber.adapters.aws.session import unusable_settings
from subscriber.adapters.postgres.auth import AuthOptions
from subscriber.adapters.postgres.auth_iam import IamLogins, IamTarget
from subscriber.adapters.postgres.auth_secret import SecretLogins
from subscriber.adapters.postgres.login import LoginSource
from subscriber.errors import ConfigurationError, QueueError


@asynccontextmanager
async def logins_of(auth: AuthOptions) -> AsyncIterator[LoginSource]:
    """The source of logins that `auth` selects, open during the block.

    Raises:
        ConfigurationError: the AWS variables cannot be used.
        QueueError: the source of AWS's credentials does not answer.
    """
    calls = AwsCalls(_region_of(auth))
    try:
        yield await _source(auth, calls)
    finally:
        await calls.close()


async def _source(auth: AuthOptions, calls: AwsCalls) -> LoginSource:
    # Created now, so that a missing region or an unknown profile fails the start and not the first write.
    service = "rds" if auth.method == "iam" else "secretsmanager"
    try:
        await once_credentials_come(lambda: calls.client(service))
    except QueueError:
        raise
    except Exception as error:
        raise ConfigurationError(f"SUBSCRIBER_DATABASE_AUTH={auth.method}: {unusable_settings(error)}") from error
    if auth.method == "iam":
        return IamLogins(IamTarget(auth.host, auth.port, auth.user, _region_of(auth)), calls)
    return SecretLogins(auth.secret_id, calls)


def _region_of(auth: AuthOptions) -> str | None:
    """The region in the endpoint's name or in the secret's ARN; None: as botocore finds it."""
    if auth.method == "iam":
        endpoint = rds_endpoint(auth.host)
        return endpoint.region if endpoint is not None else None
    parts = auth.secret_id.split(":")
    return parts[3] if parts[0] == "arn" and len(parts) > 3 and parts[3] else None
