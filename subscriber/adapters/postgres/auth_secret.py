"""Logins from Secrets Manager, also during a rotation.

A rotation stores the new password as AWSPENDING, sets it in the database, and labels it AWSCURRENT, which makes the old
one AWSPREVIOUS ("Rotate AWS Secrets Manager secrets", AWS Secrets Manager User Guide). Between two steps the database
may expect a password other than AWSCURRENT. So after a rejected login we try the other versions: one of them is valid
at any time, and no connection waits for the rotation to end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from subscriber.adapters.aws.calls import AwsCallError, AwsCalls
from subscriber.adapters.postgres.login import Login
from subscriber.errors import AwsErrorKind, StoreError, Treatment
from subscriber.observe.log import get_logger, redact

CACHE_SECONDS = 30.0
"""How long a password is cached: a burst of new connections costs one call."""

RENEWAL_SECONDS = 1.0
"""How long a connection waits for the refresh of a cached password: less than a database probe takes."""

RENEWAL_RETRY_SECONDS = 5.0
"""Delay before a failed refresh is retried."""

_CURRENT = "AWSCURRENT"
_STAGES = (_CURRENT, "AWSPENDING", _CURRENT, "AWSPREVIOUS")
"""Versions to try, the likeliest first; the current one twice, since a rotation may end in between."""

_log = get_logger()


class _Fields(msgspec.Struct):
    """The fields that we need of "JSON structure of AWS Secrets Manager database credential secrets".

    The user matters too: a rotation with alternating users changes both.
    """

    password: str
    username: str | None = None


def login_in(secret: str) -> Login:
    """Parse the text of a secret: RDS's JSON, or the plain password.

    Raises:
        ValueError: the JSON has no password; the message does not quote the secret.
    """
    if not secret.lstrip().startswith("{"):
        return Login(secret)
    try:
        fields = msgspec.json.decode(secret, type=_Fields)
    except msgspec.DecodeError:
        raise ValueError("its JSON has no string named password") from None
    return Login(fields.password, fields.username or None)


class SecretLogins:
    """A LoginSource for one secret.

    The role needs `secretsmanager:GetSecretValue`, and `kms:Decrypt` if a customer managed key encrypts the secret.

    Args:
        secret_id: ARN or name.
        calls: the AWS client.
    """

    def __init__(self, secret_id: str, calls: AwsCalls) -> None:
        self._secret_id = secret_id
        self._calls = calls
        self._cached: Login | None = None
        self._fetched_at = 0.0
        self._fetching = asyncio.Lock()

    async def login(self, rejected: Sequence[Login]) -> Login | None:
        """The cached login, or a version of the secret that was not rejected yet."""
        async with self._fetching:
            if self._cached is None or self._is_stale:
                await self._refresh()
            if self._cached is not None and self._cached not in rejected:
                return self._cached
            return await self._other_than(rejected)

    @property
    def _is_stale(self) -> bool:
        return asyncio.get_running_loop().time() - self._fetched_at > CACHE_SECONDS

    async def _refresh(self) -> None:
        """Fetch the current version. If a cached login exists, a failed or slow call keeps it."""
        if self._cached is None:
            self._cache(await self._version(_CURRENT))
            return
        try:
            async with asyncio.timeout(RENEWAL_SECONDS):
                found = await self._version(_CURRENT)
        except StoreError as error:
            self._keep_cached(error.word, str(error))
        except TimeoutError:
            self._keep_cached("secret_slow", f"no answer within {RENEWAL_SECONDS:g} s")
        else:
            self._cache(found)

    def _keep_cached(self, reason: str, detail: str) -> None:
        self._fetched_at = asyncio.get_running_loop().time() - CACHE_SECONDS + RENEWAL_RETRY_SECONDS
        _log.warning("secret.not_renewed", reason=reason, detail=detail)

    async def _other_than(self, rejected: Sequence[Login]) -> Login | None:
        for stage in _STAGES:
            found = await self._version(stage)
            if found is not None and found not in rejected:
                _log.info("secret.renewed", stage=stage)
                self._cache(found)
                return found
        return None

    def _cache(self, login: Login | None) -> None:
        self._cached = login
        self._fetched_at = asyncio.get_running_loop().time()

    async def _version(self, stage: str) -> Login | None:
        """Fetch one version of the secret; None if the rotation has no such version, or the role may not read it."""
        try:
            answer = await self._calls.call(
                "secretsmanager", "GetSecretValue", SecretId=self._secret_id, VersionStage=stage
            )
            login = login_in(_text_of(answer))
        except AwsCallError as error:
            if stage != _CURRENT and error.kind in {AwsErrorKind.DENIED, AwsErrorKind.NOT_FOUND}:
                return None
            # Rejected credentials of the role count as temporary: it renews them.
            permanent = error.kind.is_permanent and not error.kind.concerns_credentials
            raise _failure(str(error), is_permanent=permanent) from error
        except ValueError as error:
            raise _failure(f"secret {self._secret_id}: {error}", is_permanent=True) from None
        redact(login.password)
        return login


def _text_of(answer: dict[str, Any]) -> str:
    text = answer.get("SecretString")
    if not isinstance(text, str) or not text:
        raise ValueError("it has no SecretString")
    return text


def _failure(detail: str, *, is_permanent: bool) -> StoreError:
    if is_permanent:
        advice = "The password cannot be read: correct SUBSCRIBER_DATABASE_SECRET_ARN or the role's policy."
        return StoreError(Treatment.CREDENTIALS, "secret_refused", None, detail, advice)
    return StoreError(Treatment.RECONNECT, "secret_unreachable", None, detail, "Secrets Manager does not answer.")
