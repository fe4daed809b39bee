"""Logins by IAM: a token, signed here with the credentials of the role, is the password.

A token opens connections for fifteen minutes and dies with the credentials that signed it (Aurora User Guide, "IAM
database authentication"). Signing asks nobody and takes less than a millisecond, so every connection gets a token of
its own and none can be stale.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from botocore.exceptions import BotoCoreError

from subscriber.adapters.aws.calls import AwsCalls
from subscriber.adapters.aws.session import call_error
from subscriber.adapters.postgres.login import Login
from subscriber.errors import StoreError, Treatment
from subscriber.observe.log import hide

_ADVICE = "No token could be signed for DATABASE_AUTH=iam: look at the credentials of the task's role."


class IamTarget(msgspec.Struct, frozen=True):
    """What a token is good for. The signature covers all of it, so the host is the one that is connected to."""

    host: str
    port: int
    user: str
    region: str | None
    """None: the region of the session, as botocore finds it."""


class IamLogins:
    """A LoginSource. The role needs `rds-db:connect` for the user, and the user in the database the role `rds_iam`."""

    def __init__(self, target: IamTarget, calls: AwsCalls) -> None:
        self._target = target
        self._calls = calls

    async def login(self, refused: Sequence[Login]) -> Login | None:
        """A token signed now; after a refusal there is no better one."""
        if refused:
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
        hide(token)
        return Login(token)
