"""Passwords from Secrets Manager: the one of the moment, also in the middle of a rotation."""

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
from testkit.aws.aws_services import AwsServices, Fault, Silence
from tests.fixtures.log import logged

SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:lake-AbCdEf"


def version(stage: str, **passwords: str) -> dict[str, Any] | Fault:
    """How Secrets Manager answers where `passwords` by stage are all there is."""
    if stage not in passwords:
        return Fault("ResourceNotFoundException", message=f"no value for staging label: {stage}")
    return {"SecretString": json.dumps({"username": "writer", "password": passwords[stage], "port": 5432})}


def holds(services: AwsServices, **passwords: str) -> None:
    """Secrets Manager knows these passwords from now on, by their stage."""
    services.answer("secretsmanager", "GetSecretValue", lambda given: version(given["VersionStage"], **passwords))


@pytest.fixture
async def secrets(aws_services: AwsServices) -> AsyncIterator[SecretLogins]:
    """A source for the secret, which the server of the test holds."""
    calls = AwsCalls("eu-west-1")
    yield SecretLogins(SECRET, calls)
    await calls.close()


async def test_the_current_password_is_kept_for_a_while(secrets: SecretLogins, aws_services: AwsServices) -> None:
    """Many connections in a row cost one call, and user and password come from the secret."""
    holds(aws_services, AWSCURRENT="one")
    assert await asyncio.gather(*(secrets.login([]) for _ in range(5))) == [Login("one", "writer")] * 5
    asked = aws_services.asked("secretsmanager", "GetSecretValue")
    assert asked == [{"SecretId": SECRET, "VersionStage": "AWSCURRENT"}]


@pytest.mark.usefixtures("own_log")
async def test_what_was_learned_is_hidden_from_the_log(secrets: SecretLogins, aws_services: AwsServices) -> None:
    """No setting names such a password, and still no line shows it."""
    stream = io.BytesIO()
    log.configure("info", "json", stream=stream)
    holds(aws_services, AWSCURRENT="new-password", AWSPENDING="next-password")
    login = await secrets.login([])
    assert login is not None
    await secrets.login([login])
    log.get_logger().info("database.refuses", detail="the server quotes new-password and next-password")
    assert logged(stream)[-1]["detail"] == "the server quotes *** and ***"


async def test_a_password_that_is_old_is_asked_for_again(
    secrets: SecretLogins, aws_services: AwsServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its time a password is not used unseen; where the service is silent then, it is better than nothing."""
    holds(aws_services, AWSCURRENT="one")
    assert await secrets.login([]) == Login("one", "writer")
    monkeypatch.setattr(auth_secret, "KEPT_SECONDS", 0.0)
    holds(aws_services, AWSCURRENT="two")
    assert await secrets.login([]) == Login("two", "writer")
    aws_services.answer("secretsmanager", "GetSecretValue", Fault("InternalServiceError", 500))
    assert await secrets.login([]) == Login("two", "writer")


async def test_a_service_that_is_slow_does_not_keep_us_from_the_database(
    secrets: SecretLogins, aws_services: AwsServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A knock on its door has little time: the known password is used within it, and not asked for each time."""
    holds(aws_services, AWSCURRENT="one")
    assert await secrets.login([]) == Login("one", "writer")
    monkeypatch.setattr(auth_secret, "KEPT_SECONDS", 0.0)
    aws_services.answer("secretsmanager", "GetSecretValue", Silence())
    asked = len(aws_services.asked("secretsmanager", "GetSecretValue"))
    async with asyncio.timeout(PING_SECONDS):
        assert await asyncio.gather(*(secrets.login([]) for _ in range(5))) == [Login("one", "writer")] * 5
    assert len(aws_services.asked("secretsmanager", "GetSecretValue")) == asked + 1


@pytest.mark.parametrize(
    ("passwords", "right"),
    [
        pytest.param({"AWSCURRENT": "new", "AWSPREVIOUS": "old"}, "new", id="the rotation has ended"),
        pytest.param({"AWSCURRENT": "old", "AWSPENDING": "new"}, "new", id="the database is a step ahead"),
        pytest.param({"AWSCURRENT": "next", "AWSPREVIOUS": "new"}, "new", id="the secret is a step ahead"),
    ],
)
async def test_a_refusal_leads_to_the_version_that_is_right(
    secrets: SecretLogins, aws_services: AwsServices, passwords: dict[str, str], right: str
) -> None:
    """At each step of a rotation one of the versions is the database's, and it is found."""
    holds(aws_services, AWSCURRENT="old")
    refused: list[Login] = []
    while (login := await secrets.login(refused)) is not None and login.password != right:
        refused.append(login)
        holds(aws_services, **passwords)
    assert login == Login(right, "writer")
    assert await secrets.login([]) == login


async def test_where_all_are_refused_there_is_no_other(secrets: SecretLogins, aws_services: AwsServices) -> None:
    """Somebody changed the password by hand: no login, rather than a wrong one for ever."""
    holds(aws_services, AWSCURRENT="one", AWSPREVIOUS="two")
    assert await secrets.login([Login("one", "writer"), Login("two", "writer")]) is None


@pytest.mark.parametrize(
    ("answer", "treatment", "words"),
    [
        (Fault.denied("secretsmanager:GetSecretValue"), Treatment.CREDENTIALS, "needs secretsmanager:GetSecretValue"),
        (Fault("ResourceNotFoundException"), Treatment.CREDENTIALS, "correct SUBSCRIBER_DATABASE_SECRET_ARN"),
        (Fault("DecryptionFailure"), Treatment.CREDENTIALS, "DecryptionFailure"),
        ({"SecretString": '{"user":"x"}'}, Treatment.CREDENTIALS, "no text called password"),
        ({"ARN": SECRET}, Treatment.CREDENTIALS, "holds no text"),
        (Fault("InternalServiceError", 500), Treatment.RECONNECT, "gives no answer"),
        (Silence(), Treatment.RECONNECT, "gives no answer"),
    ],
)
async def test_what_cannot_be_read_is_told(
    secrets: SecretLogins,
    aws_services: AwsServices,
    monkeypatch: pytest.MonkeyPatch,
    *,
    answer: Any,
    treatment: Treatment,
    words: str,
) -> None:
    """One sentence, and whether it is worth waiting."""
    if isinstance(answer, Silence):
        monkeypatch.setattr("subscriber.adapters.aws.calls.CALL_SECONDS", 0.3)
    aws_services.answer("secretsmanager", "GetSecretValue", answer)
    with pytest.raises(StoreError) as caught:
        await secrets.login([])
    assert caught.value.treatment is treatment
    assert words in str(caught.value)


def test_the_text_of_a_secret() -> None:
    """RDS's JSON with or without a user, or the password alone; neither repr nor error shows it."""
    assert login_in('{"username":"w","password":"p{"}') == Login("p{", "w")
    assert login_in('{"password":"p","username":""}') == Login("p")
    assert login_in("plain: text") == Login("plain: text")
    assert "hush" not in repr(login_in("hush"))
    with pytest.raises(ValueError, match="no text called password") as caught:
        login_in('{"password":{"hush":1}}')
    assert "hush" not in str(caught.value)
