"""Opens a database connection that detects a dead network and rejects a node that is not the writer."""

from __future__ import annotations

import asyncio
import functools
import getpass
import ipaddress
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

import asyncpg
import msgspec
from asyncpg.connect_utils import SessionAttribute

from subscriber import choices
from subscriber.adapters.keepalive import enable_tcp_keepalive
from subscriber.adapters.postgres.dial import ADDRESSES_AT_MOST, first_of, gap_seconds
from subscriber.adapters.postgres.failures import DRIVER_ERRORS, ReadOnlySettingError, StandbyError, connect_error
from subscriber.adapters.postgres.granted import require_granted
from subscriber.adapters.postgres.login import Login, LoginSource
from subscriber.adapters.postgres.password_file import Account, password_of
from subscriber.adapters.postgres.pooler import startup_settings
from subscriber.adapters.postgres.tls import Tls
from subscriber.choices import Pooler, TlsMode
from subscriber.errors import ConfigurationError, StoreError, Treatment
from subscriber.settings.database_url import DatabaseUrl

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Attempt: TypeAlias = "Callable[[Target], Awaitable[Connection]]"

_MAX_SCHEMA_BYTES = 63
"""PostgreSQL silently truncates longer identifiers (NAMEDATALEN - 1)."""
CONNECT_SECONDS = 10.0
"""How long a login may take, from the look-up of the name to the first query, whatever the number of hosts."""
_LOGINS_AT_MOST = 4
_CACHED_STATEMENTS = 100
"""Prepared statements per connection; the driver's default, and we use a handful."""
_CLIENT_PARAMETERS = frozenset(
    {
        "connect_timeout",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "tcp_user_timeout",
    }
)
"""Parameters of libpq that asyncpg would send to the server, which rejects them. keepalive.py sets our own values."""


class StoreOptions(msgspec.Struct, frozen=True):
    """Address, TLS, timeouts and limits of the database connections.

    Raises:
        ConfigurationError: PostgreSQL cannot store the schema's name.
    """

    url: str
    """Any libpq URL without TLS parameters; the host may be a socket directory."""
    schema: str = choices.DATABASE_SCHEMA
    tls: TlsMode = "verify-full"
    """No mode in between: unverified TLS does not stop an active attacker. A Unix socket is never encrypted."""
    ca_file: Path | None = None
    """CA certificates as PEM; None: the system's."""
    write_timeout_seconds: float = choices.WRITE_TIMEOUT_SECONDS
    """Timeout of one write, which includes the wait for a connection."""
    connections_max: int = 8
    """Of the pool that writes."""
    connections_beside: int = 0
    """That the process may open besides, for other work; no pool bounds them together."""
    application_name: str = "subscriber"
    logins: LoginSource | None = None
    """Source of user and password; None: the URL contains them."""
    pooler: Pooler = "none"
    """Whether a transaction pooler is between the daemon and the database."""
    reads_only: bool = False
    """Sessions that cannot write, which a replica serves too; they plan each statement for its parameters."""

    def __post_init__(self) -> None:
        if not self.schema or "\0" in self.schema or len(self.schema.encode()) > _MAX_SCHEMA_BYTES:
            raise ConfigurationError(f"A schema's name has 1 to {_MAX_SCHEMA_BYTES} bytes and no NUL.")

    def __repr__(self) -> str:
        # The URL holds a password, and a repr ends up in tracebacks and logs.
        return f"StoreOptions(schema={self.schema!r}, tls={self.tls!r}, …)"


class Target(NamedTuple):
    """What one attempt connects to."""

    host: str
    """The name in the URL, which the certificate must have; or an address, or a socket directory."""
    port: int | None
    address: str = ""
    """One of the addresses of the name; empty: `host` is no name."""

    @property
    def shown(self) -> str:
        """For the operator."""
        where = f"{self.host}:{self.port or choices.DATABASE_PORT}"
        return f"{where} ({self.address})" if self.address else where


def tls_context(options: StoreOptions) -> Tls | None:
    """What verifies the server; None without TLS. It reads files: create it once.

    Raises:
        ConfigurationError: the CA file cannot be read or contains no certificate.
    """
    return None if options.tls == "disable" else Tls(options.ca_file)


async def connect(options: StoreOptions, tls: Tls | None, limit_seconds: float | None = None) -> Connection:
    """Open a connection to the writer of the cluster.

    Each login may take `limit_seconds`; None: CONNECT_SECONDS, but not longer than a write.

    After a rejected login, the next login of `options.logins` is tried: during a rotation the second one is valid.

    Raises:
        ConfigurationError: the URL is invalid.
        StoreError: the connection failed; the treatment says whether a retry may help.
    """
    limit = limit_seconds or min(CONNECT_SECONDS, options.write_timeout_seconds)
    if options.logins is None:
        return await _open(options, tls, None, limit)
    last_error: StoreError | None = None
    rejected: list[Login] = []
    while (login := await options.logins.login(rejected)) is not None and len(rejected) < _LOGINS_AT_MOST:
        try:
            return await _open(options, tls, login, limit)
        except StoreError as error:
            if error.treatment is not Treatment.CREDENTIALS:
                raise
            last_error = error
            rejected.append(login)
    raise last_error or StoreError(Treatment.CREDENTIALS, "no_login", None, "no source has a login for the database")


async def _open(options: StoreOptions, tls: Tls | None, login: Login | None, limit: float) -> Connection:
    """Try every host of the URL with one login."""
    try:
        url = DatabaseUrl.parse(options.url)
    except ValueError as problem:
        raise ConfigurationError(f"The database URL is not a valid PostgreSQL connection URL: {problem}") from None
    hosts = [Target(host, port) for host, port in zip(url.hosts, url.ports, strict=True)]
    attempt = functools.partial(_open_at, options, tls, _with_user(login, url), limit)
    dials = [functools.partial(_open_host, host, attempt, limit) for host in hosts]
    try:
        async with asyncio.timeout(limit):
            return await first_of(dials, gap_seconds(limit, len(dials)), _terminate)
    except TimeoutError as error:
        where = ", ".join(host.shown for host in hosts)
        raise connect_error(TimeoutError(f"no login within {limit:g} s"), where) from error


async def _open_host(host: Target, attempt: Attempt, limit: float) -> Connection:
    """Try every address of one host."""
    try:
        addresses = await _addresses(host)
    except OSError as error:
        raise connect_error(error, host.shown) from error
    if not addresses:
        return await attempt(host)
    dials = [functools.partial(attempt, host._replace(address=address)) for address in addresses]
    return await first_of(dials, gap_seconds(limit, len(dials)), _terminate)


async def _addresses(host: Target) -> list[str]:
    """The addresses of a name, in the order of the resolver; empty for a socket directory or an address."""
    if host.host.startswith("/") or _is_address(host.host):
        return []
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host.host, host.port or choices.DATABASE_PORT, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))[:ADDRESSES_AT_MOST]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _open_at(options: StoreOptions, tls: Tls | None, login: Login, limit: float, target: Target) -> Connection:
    url = DatabaseUrl.parse(options.url)
    is_pooled, asked = options.pooler == "transaction", session_settings(options)
    if tls and target.address:
        tls.expect(target.address, target.host)
    try:
        connection = await asyncpg.connect(
            _url_for_driver(options.url),
            host=target.address or target.host,
            port=target.port,
            user=login.user,
            password=login.password or _password_by_name(url, login.user, target),
            ssl=tls.context if tls else False,
            timeout=limit,
            command_timeout=options.write_timeout_seconds,
            statement_cache_size=0 if is_pooled else _CACHED_STATEMENTS,
            max_cached_statement_lifetime=0,  # prepared once per connection
            target_session_attrs=SessionAttribute.any,  # we reject a replica ourselves, and say why
            server_settings=startup_settings(asked, options.pooler),
        )
        if not is_pooled:  # behind a pooler only a transaction can ask: the first ping does
            await _require_usable(connection, asked, reads_only=options.reads_only)
    except DRIVER_ERRORS as error:
        raise connect_error(error, target.shown) from error
    except ValueError:  # the driver's message may quote the password in the URL
        raise ConfigurationError("The database URL is not a valid PostgreSQL connection URL.") from None
    _enable_keepalive(connection)
    return connection


def _password_by_name(url: DatabaseUrl, user: str | None, target: Target) -> str | None:
    """The password of a host name in the password file; None leaves it to the driver, which knows only the address."""
    if not target.address or url.has_password or "PGPASSWORD" in os.environ:
        return None
    database = url.database or os.environ.get("PGDATABASE") or user or ""
    account = Account(target.host, str(target.port or choices.DATABASE_PORT), database, user or "")
    return password_of(account, url.password_file)


def _with_user(login: Login | None, url: DatabaseUrl) -> Login:
    """The login with the user of the URL, of PGUSER or of the process, in this order, as libpq does."""
    user = (login.user if login else None) or url.user or os.environ.get("PGUSER")
    if not user:
        try:
            user = getpass.getuser()
        except (KeyError, OSError, ImportError):
            problem = "SUBSCRIBER_DATABASE_URL names no user, and the process's user id has no name: add user@"
            raise ConfigurationError(problem) from None
    return Login(login.password if login else "", user)


async def _require_usable(connection: Connection, asked: Mapping[str, str], *, reads_only: bool) -> None:
    """Reject a session that cannot write, unless it only reads, or that promises less than `asked`."""
    try:
        if not reads_only:
            await _require_writer(connection)
        await require_granted(connection, asked)
    except BaseException:
        connection.terminate()
        raise


async def _require_writer(connection: Connection) -> None:
    """PostgreSQL 14 and later tells at the login, without a query, whether it is read-only."""
    reported = connection.get_settings()
    is_replica = getattr(reported, "in_hot_standby", None)
    if is_replica is None:
        is_replica = "on" if await connection.fetchval("SELECT pg_is_in_recovery()") else "off"
    if is_replica == "on":
        raise StandbyError("the server is in recovery")
    if getattr(reported, "default_transaction_read_only", "off") == "on":
        raise ReadOnlySettingError("default_transaction_read_only is on")


def _terminate(connection: Connection) -> None:
    connection.terminate()


def _url_for_driver(url: str) -> str:
    address, _, query = url.partition("?")
    pairs = [pair for pair in query.split("&") if pair and pair.partition("=")[0] not in _CLIENT_PARAMETERS]
    return f"{address}?{'&'.join(pairs)}" if pairs else address


def session_settings(options: StoreOptions) -> dict[str, str]:
    """The settings of every session; they override the defaults of database, role and URL."""
    # A plan for any parameters cannot know how many rows a prefix or a size selects.
    reading = {"default_transaction_read_only": "on", "plan_cache_mode": "force_custom_plan"}
    return (reading if options.reads_only else {}) | {
        "application_name": options.application_name,
        # Messages are deleted after this commit, so it must be durable.
        "synchronous_commit": "on",
        "default_transaction_isolation": "read committed",
        # The server times out a little earlier than we do, so that a slow statement has a known outcome (57014: not
        # done); our own timeout remains for a server that does not answer.
        "statement_timeout": f"{_server_timeout_seconds(options.write_timeout_seconds) * 1000:.0f}",
        "jit": "off",  # compiling would cost more than an upsert takes
        "timezone": "UTC",
    }


def _server_timeout_seconds(write_timeout_seconds: float) -> float:
    return write_timeout_seconds - min(1.0, 0.1 * write_timeout_seconds)


def _enable_keepalive(connection: Connection) -> None:
    """Set TCP keepalive on the driver's socket; asyncpg has no option for it and no public access to the socket."""
    transport: asyncio.Transport = getattr(connection, "_transport")  # noqa: B009  -- not public
    wire = transport.get_extra_info("socket")
    if wire is not None:
        enable_tcp_keepalive(wire)
