"""Logins from Secrets Manager: the password of the moment, also while it is being rotated.

A rotation moves in steps: the new password is stored as AWSPENDING, set in the database, and made AWSCURRENT, which
makes the old one AWSPREVIOUS ("Rotate AWS Secrets Manager secrets", AWS Secrets Manager User Guide). Between two steps
the database knows another password than AWSCURRENT. So a refusal is no news of an outage yet: it is a reason to ask
for the other versions, and one of them is right at any moment. Nobody has to wait for the rotation to end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from subscriber.adapters.aws.calls import AwsCallError, AwsCalls
from subscriber.adapters.postgres.login import Login
from subscriber.errors import StoreError, Treatment
from subscriber.observe.log import get_logger, hide

KEPT_SECONDS = 30.0
"""How long a password is used before it is asked for again: a burst of new connections costs one call."""

RENEWAL_SECONDS = 1.0
"""How long a connection waits for news of a password that is known: less than a knock on the database's door takes."""

RENEWED_AGAIN_SECONDS = 5.0
"""After that a renewal that failed is tried again."""

_CURRENT = "AWSCURRENT"
_STAGES = (_CURRENT, "AWSPENDING", _CURRENT, "AWSPREVIOUS")
"""Where another password may be, the likeliest first; the current one twice, since a rotation may end in between."""

_NOT_FOUND = "ResourceNotFoundException"
_PERMANENT = frozenset(
    {
        _NOT_FOUND,
        "DecryptionFailure",
        "InvalidParameterException",
        "InvalidRequestException",
        "ValidationException",
        "NoCredentials",
    }
)
"""Codes that do not pass by waiting (Secrets Manager API reference, GetSecretValue); who is denied knows it himself."""

_log = get_logger()


class _Fields(msgspec.Struct):
    """What RDS keeps in a secret ("JSON structure of AWS Secrets Manager database credential secrets"), as far as ours.

    The user counts too: a rotation by alternating users changes both.
    """

    password: str
    username: str | None = None


def login_in(secret: str) -> Login:
    """The login that the text of a secret holds: RDS's JSON, or else nothing but the password.

    Raises:
        ValueError: JSON without a password; the text does not repeat it.
    """
    if not secret.lstrip().startswith("{"):
        return Login(secret)
    try:
        fields = msgspec.json.decode(secret, type=_Fields)
    except msgspec.DecodeError:
        raise ValueError("its JSON holds no text called password") from None
    return Login(fields.password, fields.username or None)


class SecretLogins:
    """A LoginSource for one secret.

    The role needs `secretsmanager:GetSecretValue`, and `kms:Decrypt` where the secret has a key of yours.

    Args:
        secret_id: ARN or name.
        calls: how AWS is asked.
    """

    def __init__(self, secret_id: str, calls: AwsCalls) -> None:
        self._secret_id = secret_id
        self._calls = calls
        self._known: Login | None = None
        self._asked_at = 0.0
        self._asking = asyncio.Lock()

    async def login(self, refused: Sequence[Login]) -> Login | None:
        """The login last known to be current, or one that was not refused yet."""
        async with self._asking:
            if self._known is None or self._is_old:
                await self._ask_for_current()
            if self._known is not None and self._known not in refused:
                return self._known
            return await self._other_than(refused)

    @property
    def _is_old(self) -> bool:
        return asyncio.get_running_loop().time() - self._asked_at > KEPT_SECONDS

    async def _ask_for_current(self) -> None:
        """Renew what is known. Where the service does not answer, what was known stays good enough to be tried."""
        if self._known is None:
            self._keep(await self._version(_CURRENT))
            return
        try:
            async with asyncio.timeout(RENEWAL_SECONDS):
                found = await self._version(_CURRENT)
        except StoreError as error:
            self._did_not_renew(error.word, str(error))
        except TimeoutError:
            self._did_not_renew("secret_slow", f"no answer within {RENEWAL_SECONDS:g} s")
        else:
            self._keep(found)

    def _did_not_renew(self, reason: str, detail: str) -> None:
        self._asked_at = asyncio.get_running_loop().time() - KEPT_SECONDS + RENEWED_AGAIN_SECONDS
        _log.warning("secret.not_renewed", reason=reason, detail=detail)

    async def _other_than(self, refused: Sequence[Login]) -> Login | None:
        for stage in _STAGES:
            found = await self._version(stage)
            if found is not None and found not in refused:
                _log.info("secret.renewed", stage=stage)
                self._keep(found)
                return found
        return None

    def _keep(self, login: Login | None) -> None:
        self._known = login
        self._asked_at = asyncio.get_running_loop().time()

    async def _version(self, stage: str) -> Login | None:
        """One version of the secret; None where a rotation has not made, or no longer keeps, this one."""
        try:
            answer = await self._calls.call(
                "secretsmanager", "GetSecretValue", SecretId=self._secret_id, VersionStage=stage
            )
            login = login_in(_text_of(answer))
        except AwsCallError as error:
            if stage != _CURRENT and (error.is_denied or error.code == _NOT_FOUND):
                return None
            permanent = error.is_denied or error.code in _PERMANENT
            raise _failure(str(error), is_permanent=permanent) from error
        except ValueError as error:
            raise _failure(f"secret {self._secret_id}: {error}", is_permanent=True) from None
        hide(login.password)
        return login


def _text_of(answer: dict[str, Any]) -> str:
    text = answer.get("SecretString")
    if not isinstance(text, str) or not text:
        raise ValueError("it holds no text")
    return text


def _failure(detail: str, *, is_permanent: bool) -> StoreError:
    if is_permanent:
        advice = "The password cannot be read: correct SUBSCRIBER_DATABASE_SECRET_ARN, or what the role may do."
        return StoreError(Treatment.CREDENTIALS, "secret_refused", None, detail, advice)
    return StoreError(Treatment.RECONNECT, "secret_unreachable", None, detail, "Secrets Manager gives no answer.")
