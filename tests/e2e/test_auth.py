"""The real daemon with a password from Secrets Manager, and through a connection pooler."""

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


class SecretUser(msgspec.Struct):
    """A database user and the secret with its password."""

    context: RunContext
    client: Any
    role: str
    secret_id: str = ""
    passwords: list[str] = []

    async def rotate(self) -> None:
        """Set a new password in the database and in the secret."""
        self.passwords.append(uuid.uuid4().hex)
        await self.context.fetch(f"ALTER ROLE {self.role} PASSWORD '{self.passwords[-1]}'")
        text = json.dumps({"username": self.role, "password": self.passwords[-1]})
        if self.secret_id:
            await self.client.put_secret_value(SecretId=self.secret_id, SecretString=text)
        else:
            self.secret_id = (await self.client.create_secret(Name=self.role, SecretString=text))["ARN"]

    async def end_sessions(self) -> None:
        """Make the daemon reconnect."""
        await self.context.fetch(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{self.role}'"
        )


@pytest.fixture
async def secret_user(context: RunContext, localstack_url: str, aws_client: OpenClient) -> AsyncIterator[SecretUser]:
    """A user with a first password."""
    role = f"daemon_{uuid.uuid4().hex[:12]}"
    async with aws_client("secretsmanager", localstack_url) as client:
        made = SecretUser(context, client, role)
        await context.fetch(f"CREATE ROLE {role} LOGIN SUPERUSER")
        await made.rotate()
        yield made
        await context.fetch(f"REASSIGN OWNED BY {role} TO CURRENT_USER")
        await context.fetch(f"DROP ROLE {role}")


async def _written(context: RunContext, keys: list[str]) -> None:
    context.send([put_body(key) for key in keys])
    await context.until_empty()
    found = await context.fetch("SELECT key FROM object_versions")
    assert set(keys) <= {row["key"] for row in found}


async def _stopped(daemon: DaemonProcess) -> None:
    assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


async def test_a_password_from_secrets_manager(secret_user: SecretUser, localstack_url: str) -> None:
    """The daemon starts without a password in its settings, survives a rotation, and logs no password."""
    context = secret_user.context
    address = context.database_url.rpartition("@")[2]
    environment = context.environment(
        DATABASE_URL=f"postgresql://{address}", DATABASE_AUTH="secret", DATABASE_SECRET_ARN=secret_user.secret_id
    )
    with context.daemon_with(environment | {"AWS_ENDPOINT_URL_SECRETS_MANAGER": localstack_url}) as daemon:
        await _written(context, ["before"])
        await secret_user.rotate()
        await secret_user.end_sessions()
        await _written(context, ["after"])
        await _stopped(daemon)
        assert daemon.events("secret.renewed")
        assert not any(password in str(daemon.log) for password in secret_user.passwords)


@pytest.mark.skipif(pgbouncer_program() is None, reason="PgBouncer is not installed (apt-get install pgbouncer)")
async def test_through_a_pooler(context: RunContext) -> None:
    """Migrations, rows, quarantine and a drained stop through PgBouncer with transaction pooling."""
    with (
        pgbouncer(context.database_url, sessions=2) as pooler,
        context.daemon(DATABASE_URL=pooler.url, DATABASE_POOLER="transaction") as daemon,
    ):
        context.send(["not for us"])
        await _written(context, [f"{number}" for number in range(300)])
        assert len(await context.fetch("SELECT FROM quarantined_messages")) == 1
        await _stopped(daemon)
        assert not daemon.events("database.unavailable")


@pytest.mark.skipif(pgbouncer_program() is None, reason="PgBouncer is not installed (apt-get install pgbouncer)")
async def test_an_undeclared_pooler_ends_the_start(context: RunContext) -> None:
    """Exit 3, and the line names the setting."""
    with (
        pgbouncer(context.database_url, sessions=2) as pooler,
        context.daemon(DATABASE_URL=pooler.url) as daemon,
    ):
        assert await asyncio.to_thread(daemon.wait) == ExitCode.DATABASE
        assert "set SUBSCRIBER_DATABASE_POOLER=transaction" in daemon.log[-1]["text"]
