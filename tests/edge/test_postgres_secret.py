"""Passwords from Secrets Manager: the one of the moment, also in the middle of a rotation."""

from __future__ import annotations

import asyncio
import io
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import msgspec
import pytest

from benchmarks.lab.aws_services import AwsServices, Fault, Silence
from subscriber.edge import postgres_secret
from subscriber.edge.aws_calls import AwsCalls
from subscriber.edge.postgres import PING_SECONDS, PostgresStore
from subscriber.edge.postgres_auth import AuthOptions, authenticated
from subscriber.edge.postgres_connection import StoreOptions
from subscriber.edge.postgres_login import Login
from subscriber.edge.postgres_secret import SecretLogins, login_in
from subscriber.errors import StoreError, Treatment
from subscriber.observe import log
from tests.edge.object_rows import row
from tests.stage.log import logged
from tests.stage.queues import OpenClient

SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:lake-AbCdEf"
ROTATIONS = 4
WRITERS = 3


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
    monkeypatch.setattr(postgres_secret, "KEPT_SECONDS", 0.0)
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
    monkeypatch.setattr(postgres_secret, "KEPT_SECONDS", 0.0)
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
        monkeypatch.setattr("subscriber.edge.aws_calls.CALL_SECONDS", 0.3)
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


class Rotation:
    """A user of the real database whose password a real LocalStack holds, rotated step by step as by a Lambda."""

    def __init__(self, admin: asyncpg.Connection[asyncpg.Record], client: Any, secret_id: str, role: str) -> None:
        self._admin, self._client, self._secret_id, self._role = admin, client, secret_id, role

    async def rotate(self, between: Callable[[], Awaitable[None]]) -> None:
        """createSecret, setSecret, finishSecret, and what is to happen between any two."""
        old = await self._version_of("AWSCURRENT")
        new = uuid.uuid4().hex
        secret = json.dumps({"username": self._role, "password": new})
        made = await self._client.put_secret_value(
            SecretId=self._secret_id, SecretString=secret, VersionStages=["AWSPENDING"]
        )
        await between()
        await self._admin.execute(f"ALTER ROLE {self._role} PASSWORD '{new}'")
        await between()  # whoever connects now is ahead of AWSCURRENT
        await self._client.update_secret_version_stage(
            SecretId=self._secret_id,
            VersionStage="AWSCURRENT",
            MoveToVersionId=made["VersionId"],
            RemoveFromVersionId=old,
        )

    async def _version_of(self, stage: str) -> str:
        answer = await self._client.get_secret_value(SecretId=self._secret_id, VersionStage=stage)
        version_id: str = answer["VersionId"]
        return version_id


@pytest.fixture
async def rotation(
    migrated: StoreOptions, database: asyncpg.Connection[asyncpg.Record], localstack_url: str, aws_client: OpenClient
) -> AsyncIterator[tuple[Rotation, str]]:
    """A user who may write to the test's schema, and the id of the secret that holds its password."""
    role, first = f"rotated_{uuid.uuid4().hex[:12]}", uuid.uuid4().hex
    quoted = '"' + migrated.schema.replace('"', '""') + '"'
    await database.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{first}'")
    await database.execute(f"GRANT USAGE ON SCHEMA {quoted} TO {role}")
    await database.execute(f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {quoted} TO {role}")
    try:
        async with aws_client("secretsmanager", localstack_url) as client:
            text = json.dumps({"username": role, "password": first})
            secret_id = (await client.create_secret(Name=role, SecretString=text))["ARN"]
            yield Rotation(database, client, secret_id, role), secret_id
    finally:
        await database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_rotation_under_load_is_noticed_by_nobody(
    migrated: StoreOptions,
    database: asyncpg.Connection[asyncpg.Record],
    rotation: tuple[Rotation, str],
    localstack_url: str,
    aws_environment: pytest.MonkeyPatch,
) -> None:
    """While a password is rotated again and again, connections are made all the time, and none of them fails."""
    aws_environment.setenv("AWS_ENDPOINT_URL", localstack_url)
    ongoing, secret_id = rotation
    place = migrated.url.rpartition("@")[2]
    nameless = msgspec.structs.replace(migrated, url=f"postgresql://{place}", connections_max=2)
    made: list[str] = []
    ended = asyncio.Event()

    async def keep_writing(writer: int, options: StoreOptions) -> None:
        while not ended.is_set():
            store = PostgresStore(options)  # each with a connection of its own
            made.append(f"{writer}/{len(made)}")
            assert await store.store([row(key=made[-1])]) == 1
            await store.close()

    async def more_connections() -> None:
        enough = len(made) + 2 * WRITERS  # so each writer began and ended one meanwhile
        while len(made) < enough:  # noqa: ASYNC110 - the writers tell nobody
            await asyncio.sleep(0.005)

    async with (
        authenticated(nameless, AuthOptions(method="secret", secret_id=secret_id)) as options,
        asyncio.timeout(90),
        asyncio.TaskGroup() as writers,
    ):
        for number in range(WRITERS):
            writers.create_task(keep_writing(number, options), name=f"writer {number}")
        for _ in range(ROTATIONS):
            await ongoing.rotate(more_connections)
            await more_connections()
        ended.set()
    assert await database.fetchval("SELECT count(*) FROM object_versions") == len(made)
