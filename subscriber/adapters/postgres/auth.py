"""The door to how we prove who we are: from what an operator chose to options that know where logins come from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, TypeAlias

import msgspec

from subscriber.adapters.aws.calls import AwsCalls
from subscriber.adapters.aws.rds_endpoint import rds_endpoint
from subscriber.adapters.aws.session import unusable_settings
from subscriber.adapters.postgres.auth_iam import IamLogins, IamTarget
from subscriber.adapters.postgres.auth_secret import SecretLogins
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.login import LoginSource
from subscriber.errors import ConfigurationError

AuthMethod: TypeAlias = Literal["password", "iam", "secret"]


class AuthOptions(msgspec.Struct, frozen=True):
    """How we prove who we are."""

    method: AuthMethod = "password"
    """By the password in the URL, by a token of IAM, or by a password from Secrets Manager."""
    secret_id: str = ""
    """ARN or name of the secret, for `secret`."""
    host: str = ""
    """For `iam`: the name that is connected to, as RDS gave it."""
    port: int = 5432
    user: str = ""


@asynccontextmanager
async def authenticated(options: StoreOptions, auth: AuthOptions) -> AsyncIterator[StoreOptions]:
    """These options with the source of logins that `auth` asks for; it is open while the block runs.

    Raises:
        ConfigurationError: AWS's own variables cannot be used.
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
    # Made here, so that a region nobody named, or a profile that does not exist, ends the start and not a write.
    service = "rds" if auth.method == "iam" else "secretsmanager"
    try:
        await calls.client(service)
    except Exception as error:
        raise ConfigurationError(f"SUBSCRIBER_DATABASE_AUTH={auth.method}: {unusable_settings(error)}") from error
    if auth.method == "iam":
        return IamLogins(IamTarget(auth.host, auth.port, auth.user, _region_of(auth)), calls)
    return SecretLogins(auth.secret_id, calls)


def _region_of(auth: AuthOptions) -> str | None:
    """The region that the endpoint's name or the secret's ARN says; None: as botocore finds it."""
    if auth.method == "iam":
        endpoint = rds_endpoint(auth.host)
        return endpoint.region if endpoint is not None else None
    parts = auth.secret_id.split(":")
    return parts[3] if parts[0] == "arn" and len(parts) > 3 and parts[3] else None
