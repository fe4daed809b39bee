"""A password rotation, step by step, while new connections are opened continuously."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres.auth import AuthOptions, authenticated
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.store import PostgresStore
from tests.adapters.postgres.object_rows import row
from tests.fixtures.queues import OpenClient

ROTATIONS = 4
WRITERS = 3


class Rotation:
    """A database user whose password is in LocalStack's Secrets Manager; rotates it as the Lambda of RDS does."""

    def __init__(self, admin: asyncpg.Connection[asyncpg.Record], client: Any, secret_id: str, role: str) -> None:
        self._admin, self._client, self._secret_id, self._role = admin, client, secret_id, role

    async def rotate(self, between: Callable[[], Awaitable[None]]) -> None:
        """createSecret, setSecret, finishSecret; `between` runs between two steps."""
        old = await self._version_of("AWSCURRENT")
        new = uuid.uuid4().hex
        secret = json.dumps({"username": self._role, "password": new})
        created = await self._client.put_secret_value(
            SecretId=self._secret_id, SecretString=secret, VersionStages=["AWSPENDING"]
        )
        await between()
        await self._admin.execute(f"ALTER ROLE {self._role} PASSWORD '{new}'")
        await between()  # the database is ahead of AWSCURRENT
        await self._client.update_secret_version_stage(
            SecretId=self._secret_id,
            VersionStage="AWSCURRENT",
            MoveToVersionId=created["VersionId"],
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
    """A user that can write to the test's schema, and the id of the secret with its password."""
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


async def test_a_rotation_under_load_fails_no_connection(
    migrated: StoreOptions,
    database: asyncpg.Connection[asyncpg.Record],
    rotation: tuple[Rotation, str],
    localstack_url: str,
    aws_environment: pytest.MonkeyPatch,
) -> None:
    """During repeated rotations, writers open new connections all the time, and none fails."""
    aws_environment.setenv("AWS_ENDPOINT_URL", localstack_url)
    rotating, secret_id = rotation
    address = migrated.url.rpartition("@")[2]
    nameless = msgspec.structs.replace(migrated, url=f"postgresql://{address}", connections_max=2)
    written: list[str] = []
    ended = asyncio.Event()

    async def keep_writing(writer: int, options: StoreOptions) -> None:
        while not ended.is_set():
            store = PostgresStore(options)  # a new connection each
            written.append(f"{writer}/{len(written)}")
            assert await store.store([row(key=written[-1])]) == 1
            await store.close()

    async def more_connections() -> None:
        enough = len(written) + 2 * WRITERS  # so that each writer has opened and closed one meanwhile
        while len(written) < enough:  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.005)

    async with (
        authenticated(nameless, AuthOptions(method="secret", secret_id=secret_id)) as options,
        asyncio.timeout(90),
        asyncio.TaskGroup() as writers,
    ):
        for number in range(WRITERS):
            writers.create_task(keep_writing(number, options), name=f"writer {number}")
        for _ in range(ROTATIONS):
            await rotating.rotate(more_connections)
            await more_connections()
        ended.set()
    assert await database.fetchval("SELECT count(*) FROM object_versions") == len(written)
