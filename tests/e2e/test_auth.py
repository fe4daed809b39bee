"""The whole daemon, which learns its password from Secrets Manager, or speaks to the database through a pooler."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from subscriber.errors import ExitCode
from testkit.daemon import DaemonProcess
from testkit.postgres.pgbouncer import pgbouncer, pgbouncer_program
from tests.e2e.environment import RunContext, put_body
from tests.fixtures.queues import OpenClient


class Keyring(msgspec.Struct):
    """A user of the database, and the secret with its password."""

    scene: RunContext
    client: Any
    role: str
    secret_id: str = ""
    passwords: list[str] = []

    async def rotate(self) -> None:
        """A new password, in the database and in the secret."""
        self.passwords.append(uuid.uuid4().hex)
        await self.scene.fetch(f"ALTER ROLE {self.role} PASSWORD '{self.passwords[-1]}'")
        text = json.dumps({"username": self.role, "password": self.passwords[-1]})
        if self.secret_id:
            await self.client.put_secret_value(SecretId=self.secret_id, SecretString=text)
        else:
            self.secret_id = (await self.client.create_secret(Name=self.role, SecretString=text))["ARN"]

    async def end_sessions(self) -> None:
        """Make the daemon connect anew."""
        await self.scene.fetch(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{self.role}'")


@pytest.fixture
async def keyring(scene: RunContext, localstack_url: str, aws_client: OpenClient) -> AsyncIterator[Keyring]:
    """A user with a first password."""
    role = f"daemon_{uuid.uuid4().hex[:12]}"
    async with aws_client("secretsmanager", localstack_url) as client:
        made = Keyring(scene, client, role)
        await scene.fetch(f"CREATE ROLE {role} LOGIN SUPERUSER")
        await made.rotate()
        yield made
        await scene.fetch(f"REASSIGN OWNED BY {role} TO CURRENT_USER")
        await scene.fetch(f"DROP ROLE {role}")


async def _written(scene: RunContext, keys: list[str]) -> None:
    scene.send([put_body(key) for key in keys])
    await scene.until_empty()
    found = await scene.fetch("SELECT key FROM object_versions")
    assert set(keys) <= {row["key"] for row in found}


async def _stopped(daemon: DaemonProcess) -> None:
    assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


async def test_a_password_from_secrets_manager(keyring: Keyring, localstack_url: str) -> None:
    """The daemon starts without a password, survives a rotation and the end of its sessions, and never tells one."""
    scene = keyring.scene
    place = scene.database_url.rpartition("@")[2]
    environment = scene.environment(
        DATABASE_URL=f"postgresql://{place}", DATABASE_AUTH="secret", DATABASE_SECRET_ARN=keyring.secret_id
    )
    with scene.daemon_with(environment | {"AWS_ENDPOINT_URL_SECRETS_MANAGER": localstack_url}) as daemon:
        await _written(scene, ["before"])
        await keyring.rotate()
        await keyring.end_sessions()
        await _written(scene, ["after"])
        await _stopped(daemon)
        assert daemon.events("secret.renewed")
        assert not any(password in str(daemon.log) for password in keyring.passwords)


@pytest.mark.skipif(pgbouncer_program() is None, reason="PgBouncer is not installed (apt-get install pgbouncer)")
async def test_through_a_pooler(scene: RunContext) -> None:
    """Migrations, rows and quarantine by way of PgBouncer with transaction pooling, and a dry end."""
    with (
        pgbouncer(scene.database_url, sessions=2) as pooler,
        scene.daemon(DATABASE_URL=pooler.url, DATABASE_POOLER="transaction") as daemon,
    ):
        scene.send(["not for us"])
        await _written(scene, [f"{number}" for number in range(300)])
        assert len(await scene.fetch("SELECT FROM quarantined_messages")) == 1
        await _stopped(daemon)
        assert not daemon.events("database.unavailable")


@pytest.mark.skipif(pgbouncer_program() is None, reason="PgBouncer is not installed (apt-get install pgbouncer)")
async def test_a_pooler_nobody_spoke_of_ends_the_start(scene: RunContext) -> None:
    """Waiting mends nothing: exit 3, and the line names the setting."""
    with (
        pgbouncer(scene.database_url, sessions=2) as pooler,
        scene.daemon(DATABASE_URL=pooler.url) as daemon,
    ):
        assert await asyncio.to_thread(daemon.wait) == ExitCode.DATABASE
        assert "set SUBSCRIBER_DATABASE_POOLER=transaction" in daemon.log[-1]["text"]
