"""Chooses the source of logins (URL, IAM token or secret) and adds it to the store's options."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from subscriber import choices
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.choices import AuthMethod


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
    # AWS's libraries take longer to import than all else together, and a password needs none of them.
    from subscriber.adapters.postgres.auth_aws import logins_of  # noqa: PLC0415 - see above

    async with logins_of(auth) as logins:
        yield msgspec.structs.replace(options, logins=logins)
