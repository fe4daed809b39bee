"""IAM database authentication: the password is a token, signed locally with the role's credentials.

A token is valid for fifteen minutes, but not longer than the credentials that signed it (Aurora User Guide, "IAM
database authentication"). Signing needs no network and takes less than a millisecond, so every connection gets a new
token.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from botocore.exceptions import BotoCoreError

from subscriber.adapters.aws.calls import AwsCalls
from subscriber.adapters.aws.session import call_error
from subscriber.adapters.postgres.login import Login
from subscriber.errors import StoreError, Treatment
from subscriber.observe.log import redact

_ADVICE = "No token could be signed for DATABASE_AUTH=iam: check the credentials of the task's role."


class IamTarget(msgspec.Struct, frozen=True):
    """What a token is valid for. The signature covers all fields, so `host` must be the name that we connect to."""

    host: str
    port: int
    user: str
    region: str | None
    """None: the region of the session, as botocore finds it."""


class IamLogins:
    """A LoginSource. The IAM role needs `rds-db:connect` for the user, and the user the database role `rds_iam`."""

    def __init__(self, target: IamTarget, calls: AwsCalls) -> None:
        self._target = target
        self._calls = calls

    async def login(self, rejected: Sequence[Login]) -> Login | None:
        """Sign a token; None after a rejected one, since another token would not be better."""
        if rejected:
            return None
        target = self._target
        try:
            client = await self._calls.client("rds")
            token: str = await client.generate_db_auth_token(
                DBHostname=target.host, Port=target.port, DBUsername=target.user, Region=target.region
            )
        except (BotoCoreError, OSError, RuntimeError) as error:  # RuntimeError: credentials still expired
            ours = call_error(error)
            treatment = Treatment.CREDENTIALS if ours.is_permanent else Treatment.RECONNECT
            raise StoreError(treatment, "no_token", None, str(ours), _ADVICE) from error
        redact(token)
        return Login(token)
