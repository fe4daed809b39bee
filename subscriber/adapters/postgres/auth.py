"""Chooses the source of logins (URL, IAM token or secret) and adds it to the store's options."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from subscriber import choices
from subscriber.adapters.aws.calls import AwsCalls
from subscriber.adapters.aws.credentials import once_credentials_come
from subscriber.adapters.aws.rds_endpoint import rds_endpoint
from subscriber.adapters.aws.session import unusable_settings
from subscriber.adapters.postgres.auth_iam import IamLogins, IamTarget
from subscriber.adapters.postgres.auth_secret import SecretLogins
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.login import LoginSource
from subscriber.choices import AuthMethod
from subscriber.errors import ConfigurationError, QueueError


class AuthOptions(msgspec.Struct, frozen=True):
    """How the daemon authenticates to the database."""

    method: AuthMethod = "password"
    """By the password in the URL, by an IAM token, or by a password from Secrets Manager."""
    secret_id: str = ""
    """ARN or name of the secret, for `secret`."""
    host: str = ""
    """For `iam`: the endpoint's name, as RDS assigned it."""
    port: int = choices.DATABASE_PORT
    user: str = ""


@asynccontextmanager
async def authenticated(options: StoreOptions, auth: AuthOptions) -> AsyncIterator[StoreOptions]:
    """Yield `options` with the source of logins that `auth` selects; the source is open during the block.

    Raises:
        ConfigurationError: the AWS variables cannot be used.
        QueueError: the source of AWS's credentials does not answer.
    """
    if auth.method == "password":
        yield options
        return
    calls = AwsCalls(_region_of(auth))
    try:
        yield msgspec.structs.replace(options, logins=await _source(auth, calls))
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
