"""IAM tokens: signed as RDS expects, one per connection, and accepted in full by a real server with TLS."""

from __future__ import annotations

import hashlib
import hmac
import io
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import asyncpg
import msgspec
import pytest
import trustme

from subscriber.adapters.postgres.auth import AuthOptions, authenticated
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.login import Login
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import ConfigurationError, StoreError, Treatment
from subscriber.observe import log
from tests.adapters.postgres.object_rows import row
from tests.adapters.postgres.tls_proxy import tls_proxy
from tests.fixtures.log import logged

HOST = "lake.cluster-c9akciq32rc9.eu-central-1.rds.amazonaws.com"
NOWHERE = StoreOptions(url=f"postgresql://writer@{HOST}/lake")
ENDPOINT = AuthOptions(method="iam", host=HOST, port=5432, user="lake writer")


async def token_of(auth: AuthOptions) -> str:
    """The token for a first connection."""
    async with authenticated(NOWHERE, auth) as options:
        assert options.logins is not None
        login = await options.logins.login([])
        assert login is not None
        assert await options.logins.login([login]) is None
    return login.password


def signature_of(token: str, secret_key: str) -> str:
    """The expected signature of a token, computed from "Create a signed request", query string."""
    parts = urlsplit(f"https://{token}")
    query = {name: value for name, value in parse_qsl(parts.query) if name != "X-Amz-Signature"}
    canonical = "&".join(f"{quote(n, safe='-_.~')}={quote(v, safe='-_.~')}" for n, v in sorted(query.items()))
    empty = hashlib.sha256(b"").hexdigest()
    request = f"GET\n/\n{canonical}\nhost:{parts.netloc}\n\nhost\n{empty}"
    scope = query["X-Amz-Credential"].partition("/")[2]
    hashed = hashlib.sha256(request.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{query['X-Amz-Date']}\n{scope}\n{hashed}"
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, to_sign.encode(), "sha256").hexdigest()


@pytest.mark.usefixtures("aws_environment")
async def test_a_token_is_what_rds_expects() -> None:
    """A correctly signed request to connect as this user to this endpoint, in its region, valid for fifteen minutes."""
    token = await token_of(ENDPOINT)
    parts = urlsplit(f"https://{token}")
    query = dict(parse_qsl(parts.query))
    assert (parts.netloc, parts.path) == (f"{HOST}:5432", "/")
    assert (query["Action"], query["DBUser"], query["X-Amz-Expires"]) == ("connect", "lake writer", "900")
    assert query["X-Amz-Credential"].split("/")[2:] == ["eu-central-1", "rds-db", "aws4_request"]
    assert query["X-Amz-Signature"] == signature_of(token, "local")


@pytest.mark.usefixtures("aws_environment")
async def test_a_token_is_redacted_in_the_log() -> None:
    """It gives access to the database for fifteen minutes."""
    stream = io.BytesIO()
    log.configure("info", "json", stream=stream)
    token = await token_of(ENDPOINT)
    log.get_logger().info("database.rejects", detail=f"<{token}>")
    assert logged(stream)[-1]["detail"] == "<***>"


@pytest.mark.usefixtures("aws_environment")
async def test_a_custom_name_uses_the_region_of_the_environment() -> None:
    """If the host is not an RDS endpoint, the region is that of the session."""
    token = await token_of(msgspec.structs.replace(ENDPOINT, host="index.example"))
    assert "%2Feu-west-1%2Frds-db%2F" in token


async def test_missing_credentials_give_no_token(aws_environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One sentence about the credentials of the role."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        aws_environment.delenv(name)
    aws_environment.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    aws_environment.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(StoreError, match="check the credentials of the task's role") as caught:
        await token_of(ENDPOINT)
    assert caught.value.treatment is Treatment.CREDENTIALS


async def test_an_unknown_profile_is_a_configuration_error(aws_environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An unknown profile fails before the first write."""
    aws_environment.setenv("AWS_PROFILE", "nobody")
    aws_environment.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match="SUBSCRIBER_DATABASE_AUTH=iam: the AWS settings cannot be used"):
        await token_of(ENDPOINT)


@pytest.fixture
async def token_user(migrated: StoreOptions, database: asyncpg.Connection[asyncpg.Record]) -> AsyncIterator[str]:
    """A database user without a password that can write to the test's schema."""
    role = f"iam_{migrated.schema[6:18]}"
    await database.execute(f"CREATE ROLE {role} LOGIN SUPERUSER")
    yield role
    await database.execute(f"DROP ROLE {role}")


async def test_a_token_opens_a_connection_to_a_real_server(
    migrated: StoreOptions,
    database: asyncpg.Connection[asyncpg.Record],
    token_user: str,
    aws_environment: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The whole token is sent as the password with TLS, and another token is rejected.

    The server checks it like any password: the test sets the current token as the password of the user.
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with tls_proxy(migrated.url, authority) as (port, _):
        url = f"postgresql://{token_user}@localhost:{port}/postgres"
        connecting = msgspec.structs.replace(migrated, url=url, tls="verify-full", ca_file=tmp_path / "ca.pem")
        auth = AuthOptions(method="iam", host="localhost", port=port, user=token_user)
        async with authenticated(connecting, auth) as options:
            assert options.logins is not None
            tokens = _Fixed(await options.logins.login([]))
            assert len(tokens.password) > 300
            await database.execute(f"ALTER ROLE {token_user} PASSWORD '{tokens.password}'")
            store = PostgresStore(msgspec.structs.replace(options, logins=tokens))
            assert await store.store([row()]) == 1
            await store.close()
            aws_environment.setenv("AWS_SECRET_ACCESS_KEY", "another")
        async with authenticated(connecting, auth) as options:
            store = PostgresStore(options)
            with pytest.raises(StoreError) as caught:
                await store.open()
            assert caught.value.sqlstate == "28P01"
            await store.close()


class _Fixed:
    """A LoginSource with one fixed login, because a token of the next second would differ."""

    def __init__(self, login: Login | None) -> None:
        assert login is not None
        self._login = login
        self.password = login.password

    async def login(self, rejected: object) -> Login | None:
        return None if rejected else self._login
