"""Passwords from Secrets Manager, also during a rotation."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from subscriber.adapters.aws.calls import AwsCalls
from subscriber.adapters.postgres import auth_secret
from subscriber.adapters.postgres.auth_secret import SecretLogins, login_in
from subscriber.adapters.postgres.login import Login
from subscriber.adapters.postgres.store import PING_SECONDS
from subscriber.errors import StoreError, Treatment
from subscriber.observe import log
from testkit.aws.aws_services import AwsServices, Fault, NoAnswer
from tests.fixtures.log import logged

SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:lake-AbCdEf"


def version(stage: str, **passwords: str) -> dict[str, Any] | Fault:
    """The answer of Secrets Manager for one stage, if the secret has these `passwords` by stage."""
    if stage not in passwords:
        return Fault("ResourceNotFoundException", message=f"no value for staging label: {stage}")
    return {"SecretString": json.dumps({"username": "writer", "password": passwords[stage], "port": 5432})}


def set_secret(services: AwsServices, **passwords: str) -> None:
    """Let Secrets Manager have these passwords by stage."""
    services.answer("secretsmanager", "GetSecretValue", lambda request: version(request["VersionStage"], **passwords))


@pytest.fixture
async def secrets(aws_services: AwsServices) -> AsyncIterator[SecretLogins]:
    """A LoginSource for the secret."""
    calls = AwsCalls("eu-west-1")
    yield SecretLogins(SECRET, calls)
    await calls.close()


async def test_the_current_password_is_cached(secrets: SecretLogins, aws_services: AwsServices) -> None:
    """Many connections cost one call; user and password come from the secret."""
    set_secret(aws_services, AWSCURRENT="one")
    assert await asyncio.gather(*(secrets.login([]) for _ in range(5))) == [Login("one", "writer")] * 5
    calls = aws_services.asked("secretsmanager", "GetSecretValue")
    assert calls == [{"SecretId": SECRET, "VersionStage": "AWSCURRENT"}]


async def test_a_fetched_password_is_redacted_in_the_log(secrets: SecretLogins, aws_services: AwsServices) -> None:
    """The log redacts such a password although no setting contains it."""
    stream = io.BytesIO()
    log.configure("info", "json", stream=stream)
    set_secret(aws_services, AWSCURRENT="new-password", AWSPENDING="next-password")
    login = await secrets.login([])
    assert login is not None
    await secrets.login([login])
    log.get_logger().info("database.rejects", detail="the server quotes new-password and next-password")
    assert logged(stream)[-1]["detail"] == "the server quotes *** and ***"


async def test_a_stale_password_is_fetched_again(
    secrets: SecretLogins, aws_services: AwsServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stale password is fetched again; if the service fails, the cached one is used."""
    set_secret(aws_services, AWSCURRENT="one")
    assert await secrets.login([]) == Login("one", "writer")
    monkeypatch.setattr(auth_secret, "CACHE_SECONDS", 0.0)
    set_secret(aws_services, AWSCURRENT="two")
    assert await secrets.login([]) == Login("two", "writer")
    aws_services.answer("secretsmanager", "GetSecretValue", Fault("InternalServiceError", 500))
    assert await secrets.login([]) == Login("two", "writer")


async def test_a_slow_service_does_not_delay_a_connection(
    secrets: SecretLogins, aws_services: AwsServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow service leaves a probe enough time: the cached password is used, and the call is not repeated."""
    set_secret(aws_services, AWSCURRENT="one")
    assert await secrets.login([]) == Login("one", "writer")
    monkeypatch.setattr(auth_secret, "CACHE_SECONDS", 0.0)
    aws_services.answer("secretsmanager", "GetSecretValue", NoAnswer())
    calls_before = len(aws_services.asked("secretsmanager", "GetSecretValue"))
    async with asyncio.timeout(PING_SECONDS):
        assert await asyncio.gather(*(secrets.login([]) for _ in range(5))) == [Login("one", "writer")] * 5
    assert len(aws_services.asked("secretsmanager", "GetSecretValue")) == calls_before + 1


@pytest.mark.parametrize(
    ("passwords", "right"),
    [
        pytest.param({"AWSCURRENT": "new", "AWSPREVIOUS": "old"}, "new", id="the rotation has ended"),
        pytest.param({"AWSCURRENT": "old", "AWSPENDING": "new"}, "new", id="the database is a step ahead"),
        pytest.param({"AWSCURRENT": "next", "AWSPREVIOUS": "new"}, "new", id="the secret is a step ahead"),
    ],
)
async def test_a_rejected_password_leads_to_the_valid_version(
    secrets: SecretLogins, aws_services: AwsServices, passwords: dict[str, str], right: str
) -> None:
    """At each step of a rotation one of the versions is valid, and it is found."""
    set_secret(aws_services, AWSCURRENT="old")
    rejected: list[Login] = []
    while (login := await secrets.login(rejected)) is not None and login.password != right:
        rejected.append(login)
        set_secret(aws_services, **passwords)
    assert login == Login(right, "writer")
    assert await secrets.login([]) == login


async def test_there_is_no_login_after_all_were_rejected(secrets: SecretLogins, aws_services: AwsServices) -> None:
    """Somebody changed the password by hand: there is no login, instead of a wrong one forever."""
    set_secret(aws_services, AWSCURRENT="one", AWSPREVIOUS="two")
    assert await secrets.login([Login("one", "writer"), Login("two", "writer")]) is None


@pytest.mark.parametrize(
    ("answer", "treatment", "words"),
    [
        (Fault.denied("secretsmanager:GetSecretValue"), Treatment.CREDENTIALS, "needs secretsmanager:GetSecretValue"),
        (Fault("ResourceNotFoundException"), Treatment.CREDENTIALS, "correct SUBSCRIBER_DATABASE_SECRET_ARN"),
        (Fault("DecryptionFailure"), Treatment.CREDENTIALS, "DecryptionFailure"),
        ({"SecretString": '{"user":"x"}'}, Treatment.CREDENTIALS, "no string named password"),
        ({"ARN": SECRET}, Treatment.CREDENTIALS, "has no SecretString"),
        (Fault("InternalServiceError", 500), Treatment.RECONNECT, "does not answer"),
        (NoAnswer(), Treatment.RECONNECT, "does not answer"),
    ],
)
async def test_an_unreadable_secret_is_one_sentence(
    secrets: SecretLogins,
    aws_services: AwsServices,
    monkeypatch: pytest.MonkeyPatch,
    *,
    answer: Any,
    treatment: Treatment,
    words: str,
) -> None:
    """The error is one sentence, and its treatment says whether a retry helps."""
    if isinstance(answer, NoAnswer):
        monkeypatch.setattr("subscriber.adapters.aws.calls.CALL_SECONDS", 0.3)
    aws_services.answer("secretsmanager", "GetSecretValue", answer)
    with pytest.raises(StoreError) as caught:
        await secrets.login([])
    assert caught.value.treatment is treatment
    assert words in str(caught.value)


def test_the_text_of_a_secret() -> None:
    """RDS's JSON with or without a user, or the plain password; neither repr nor error shows it."""
    assert login_in('{"username":"w","password":"p{"}') == Login("p{", "w")
    assert login_in('{"password":"p","username":""}') == Login("p")
    assert login_in("plain: text") == Login("plain: text")
    assert "hush" not in repr(login_in("hush"))
    with pytest.raises(ValueError, match="no string named password") as caught:
        login_in('{"password":{"hush":1}}')
    assert "hush" not in str(caught.value)
