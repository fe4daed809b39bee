"""Opens a database connection that detects a dead network and rejects a node that is not the writer."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import TypeAlias

import asyncpg
import msgspec
from asyncpg.connect_utils import SessionAttribute

from subscriber import choices
from subscriber.adapters.keepalive import enable_tcp_keepalive
from subscriber.adapters.postgres.failures import DRIVER_ERRORS, connect_error
from subscriber.adapters.postgres.login import Login, LoginSource
from subscriber.adapters.postgres.pooler import startup_settings
from subscriber.choices import Pooler, TlsMode
from subscriber.errors import ConfigurationError, StoreError, Treatment

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_MAX_SCHEMA_BYTES = 63
"""PostgreSQL silently truncates longer identifiers (NAMEDATALEN - 1)."""
_CONNECT_SECONDS = 10.0
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
    application_name: str = "subscriber"
    logins: LoginSource | None = None
    """Source of user and password; None: the URL contains them."""
    pooler: Pooler = "none"
    """Whether a transaction pooler is between the daemon and the database."""

    def __post_init__(self) -> None:
        if not self.schema or "\0" in self.schema or len(self.schema.encode()) > _MAX_SCHEMA_BYTES:
            raise ConfigurationError(f"A schema's name has 1 to {_MAX_SCHEMA_BYTES} bytes and no NUL.")

    def __repr__(self) -> str:
        # The URL holds a password, and a repr ends up in tracebacks and logs.
        return f"StoreOptions(schema={self.schema!r}, tls={self.tls!r}, …)"


def tls_context(options: StoreOptions) -> ssl.SSLContext | None:
    """The context that verifies the server; None without TLS. It reads files: create it once.

    Raises:
        ConfigurationError: the CA file cannot be read or contains no certificate.
    """
    if options.tls == "disable":
        return None
    try:
        return ssl.create_default_context(cafile=options.ca_file)
    except (OSError, ssl.SSLError) as error:
        remedy = "SUBSCRIBER_DATABASE_CA_FILE takes certificates as PEM, such as RDS's global-bundle.pem"
        raise ConfigurationError(f"The CA file {options.ca_file} cannot be used: {error}; {remedy}") from error


async def connect(options: StoreOptions, tls: ssl.SSLContext | None) -> Connection:
    """Open a connection to the writer of the cluster.

    After a rejected login, the next login of `options.logins` is tried: during a rotation the second one is valid.

    Raises:
        ConfigurationError: the URL is invalid.
        StoreError: the connection failed; the treatment says whether a retry may help.
    """
    if options.logins is None:
        return await _open(options, tls, None)
    last_error: StoreError | None = None
    rejected: list[Login] = []
    while (login := await options.logins.login(rejected)) is not None and len(rejected) < _LOGINS_AT_MOST:
        try:
            return await _open(options, tls, login)
        except StoreError as error:
            if error.treatment is not Treatment.CREDENTIALS:
                raise
            last_error = error
            rejected.append(login)
    raise last_error or StoreError(Treatment.CREDENTIALS, "no_login", None, "no source has a login for the database")


async def _open(options: StoreOptions, tls: ssl.SSLContext | None, login: Login | None) -> Connection:
    is_pooled = options.pooler == "transaction"
    try:
        connection = await asyncpg.connect(
            _url_for_driver(options.url),
            user=login.user if login else None,
            password=login.password if login else None,
            ssl=tls or False,
            timeout=min(_CONNECT_SECONDS, options.write_timeout_seconds),
            command_timeout=options.write_timeout_seconds,
            statement_cache_size=0 if is_pooled else _CACHED_STATEMENTS,
            max_cached_statement_lifetime=0,  # prepared once per connection
            # Behind a pooler only a transaction can ask for the writer: the first ping does.
            target_session_attrs=SessionAttribute.any if is_pooled else SessionAttribute.read_write,
            server_settings=startup_settings(session_settings(options), options.pooler),
        )
    except DRIVER_ERRORS as error:
        raise connect_error(error) from error
    except ValueError:  # the driver's message may quote the password in the URL
        raise ConfigurationError("The database URL is not a valid PostgreSQL connection URL.") from None
    _enable_keepalive(connection)
    return connection


def _url_for_driver(url: str) -> str:
    address, _, query = url.partition("?")
    pairs = [pair for pair in query.split("&") if pair and pair.partition("=")[0] not in _CLIENT_PARAMETERS]
    return f"{address}?{'&'.join(pairs)}" if pairs else address


def session_settings(options: StoreOptions) -> dict[str, str]:
    """The settings of every session; they override the defaults of database, role and URL."""
    return {
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
