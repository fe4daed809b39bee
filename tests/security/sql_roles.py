"""The roles of config/sql on a test's server, created with the scripts as an operator would."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate

SQL = Path(__file__).parents[2] / "config/sql"


class Roles(msgspec.Struct, frozen=True):
    """Unique names of the roles, and their URLs."""

    schema: str
    owner: str
    writer: str
    reader: str
    owner_url: str
    writer_url: str

    def script(self, name: str) -> str:
        """A script of config/sql with the variables that psql would substitute."""
        text = SQL.joinpath(name).read_text()
        for variable in ("schema", "owner", "writer", "reader"):
            quoted = getattr(self, variable).replace('"', '""')
            text = text.replace(f':"{variable}"', f'"{quoted}"')
        return text


async def create_roles(admin_url: str, schema: str) -> Roles:
    """Run roles.sql and set the passwords of the login roles."""
    suffix, password = secrets.token_hex(6), secrets.token_urlsafe(12)
    names = {role: f"{role}_{suffix}" for role in ("owner", "writer", "reader")}
    parts = urlsplit(admin_url)
    urls = {
        f"{role}_url": parts._replace(netloc=f"{names[role]}:{password}@{parts.hostname}:{parts.port}").geturl()
        for role in ("owner", "writer")
    }
    roles = Roles(schema=schema, **names, **urls)
    script = roles.script("roles.sql")
    passwords = "".join(f"ALTER ROLE {names[role]} PASSWORD '{password}';" for role in ("owner", "writer"))
    await run(admin_url, script + passwords)
    return roles


@asynccontextmanager
async def granted_roles(admin_url: str, schema: str) -> AsyncIterator[Roles]:
    """The roles with the owner's tables and the grants, while the block runs."""
    roles = await create_roles(admin_url, schema)
    await migrate(options_of(roles, roles.owner_url))
    await run(roles.owner_url, roles.script("grants.sql"))
    yield roles
    await drop_roles(admin_url, roles)


def options_of(roles: Roles, url: str) -> StoreOptions:
    """How to connect as one of the roles."""
    return StoreOptions(url=url, schema=roles.schema, tls="disable", write_timeout_seconds=10.0)


def revoked(roles: Roles, grant: str) -> str:
    """The statement that takes a grant from the writer."""
    return grant.replace("GRANT", "REVOKE", 1).replace(f'TO "{roles.writer}"', f'FROM "{roles.writer}"', 1)


async def drop_roles(admin_url: str, roles: Roles) -> None:
    """Drop the roles and everything that they own."""
    for name in (roles.reader, roles.writer, roles.owner):
        await run(admin_url, f"DROP OWNED BY {name} CASCADE; DROP ROLE {name};")


async def run(url: str, script: str) -> None:
    """Run all statements of a script in one transaction."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(script)
    finally:
        await connection.close()
