"""The roles of config/sql on a test's server, made as an operator would make them."""

from __future__ import annotations

import secrets
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import msgspec

SQL = Path(__file__).parents[2] / "config/sql"


class Roles(msgspec.Struct, frozen=True):
    """Names unlike any other, and the URLs to come with."""

    schema: str
    owner: str
    writer: str
    reader: str
    owner_url: str
    writer_url: str

    def script(self, name: str) -> str:
        """A script of config/sql, as psql would read it with these names as variables."""
        text = SQL.joinpath(name).read_text()
        for variable in ("schema", "owner", "writer", "reader"):
            quoted = getattr(self, variable).replace('"', '""')
            text = text.replace(f':"{variable}"', f'"{quoted}"')
        return text


async def create_roles(admin_url: str, schema: str) -> Roles:
    """Run roles.sql, and give passwords to those who log in."""
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


async def drop_roles(admin_url: str, roles: Roles) -> None:
    """Them and all they own."""
    for name in (roles.reader, roles.writer, roles.owner):
        await run(admin_url, f"DROP OWNED BY {name} CASCADE; DROP ROLE {name};")


async def run(url: str, script: str) -> None:
    """Every statement of a script, in one transaction."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(script)
    finally:
        await connection.close()
