"""One connection to the database, made so that neither a silent network nor the wrong node goes unnoticed."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Literal, TypeAlias

import asyncpg
import msgspec
from asyncpg.connect_utils import SessionAttribute

from subscriber.adapters.keepalive import enable_tcp_keepalive
from subscriber.adapters.postgres.failures import DRIVER_ERRORS, connect_error
from subscriber.adapters.postgres.login import Login, LoginSource
from subscriber.adapters.postgres.pooler import Pooler, startup_settings
from subscriber.errors import ConfigurationError, StoreError, Treatment

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
TlsMode: TypeAlias = Literal["verify-full", "disable"]

_MAX_SCHEMA_BYTES = 63
"""PostgreSQL cuts longer identifiers without a word (NAMEDATALEN - 1)."""
_CONNECT_SECONDS = 10.0
_LOGINS_AT_MOST = 4
_STATEMENTS_KEPT = 100
"""Prepared statements of a connection; the driver's own default, and we have a handful."""
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
"""What libpq keeps to itself and asyncpg would pass on to the server, which refuses it. Ours are in keepalive.py."""


class StoreOptions(msgspec.Struct, frozen=True):
    """How to reach the database, and how long to wait for it.

    Raises:
        ConfigurationError: the schema's name is none PostgreSQL can keep.
    """

    url: str
    """Any libpq URL that speaks not of TLS; a socket directory may be the host."""
    schema: str = "subscriber"
    tls: TlsMode = "verify-full"
    """Nothing in between: without verification encryption is a curtain. A socket is never encrypted."""
    ca_file: Path | None = None
    """The certificates, as PEM, that may sign the server's; None: those of the system."""
    write_timeout_seconds: float = 30.0
    """From wanting to write until the outcome is known, waiting for a connection included."""
    connections_max: int = 8
    application_name: str = "subscriber"
    logins: LoginSource | None = None
    """Who knows user and password of the moment; None: what the URL says."""
    pooler: Pooler = "none"
    """What stands between us and the database."""

    def __post_init__(self) -> None:
        if not self.schema or "\0" in self.schema or len(self.schema.encode()) > _MAX_SCHEMA_BYTES:
            raise ConfigurationError(f"A schema's name has 1 to {_MAX_SCHEMA_BYTES} bytes and no NUL.")

    def __repr__(self) -> str:
        # The URL holds a password, and a repr ends up in tracebacks and logs.
        return f"StoreOptions(schema={self.schema!r}, tls={self.tls!r}, …)"


def tls_context(options: StoreOptions) -> ssl.SSLContext | None:
    """The context in which the server proves who it is; None without TLS. Reads files: make it once.

    Raises:
        ConfigurationError: the CA file cannot be read or holds no certificate.
    """
    if options.tls == "disable":
        return None
    try:
        return ssl.create_default_context(cafile=options.ca_file)
    except (OSError, ssl.SSLError) as error:
        remedy = "SUBSCRIBER_DATABASE_CA_FILE takes certificates as PEM, such as RDS's global-bundle.pem"
        raise ConfigurationError(f"The CA file {options.ca_file} cannot be used: {error}; {remedy}") from error


async def connect(options: StoreOptions, tls: ssl.SSLContext | None) -> Connection:
    """A new connection to the writer of the cluster.

    A login that is refused is replaced by the next that `options.logins` knows, if any: during a rotation the second
    one is right.

    Raises:
        ConfigurationError: the URL cannot be read.
        StoreError: it cannot be made; the treatment tells waiting from despair.
    """
    if options.logins is None:
        return await _dial(options, tls, None)
    refusal: StoreError | None = None
    refused: list[Login] = []
    while (login := await options.logins.login(refused)) is not None and len(refused) < _LOGINS_AT_MOST:
        try:
            return await _dial(options, tls, login)
        except StoreError as error:
            if error.treatment is not Treatment.CREDENTIALS:
                raise
            refusal = error
            refused.append(login)
    raise refusal or StoreError(Treatment.CREDENTIALS, "no_login", None, "nobody knows a login for the database")


async def _dial(options: StoreOptions, tls: ssl.SSLContext | None, login: Login | None) -> Connection:
    is_pooled = options.pooler == "transaction"
    try:
        connection = await asyncpg.connect(
            _url_for_driver(options.url),
            user=login.user if login else None,
            password=login.password if login else None,
            ssl=tls or False,
            timeout=min(_CONNECT_SECONDS, options.write_timeout_seconds),
            command_timeout=options.write_timeout_seconds,
            statement_cache_size=0 if is_pooled else _STATEMENTS_KEPT,
            max_cached_statement_lifetime=0,  # prepared once, kept as long as the connection
            # A pooler tells who the writer is only to a transaction: the first ping does that.
            target_session_attrs=SessionAttribute.any if is_pooled else SessionAttribute.read_write,
            server_settings=startup_settings(session_settings(options), options.pooler),
        )
    except DRIVER_ERRORS as error:
        raise connect_error(error) from error
    except ValueError:  # the driver's words about a URL may quote its password
        raise ConfigurationError("The database's URL is none that PostgreSQL's clients can read.") from None
    _watch_the_network(connection)
    return connection


def _url_for_driver(url: str) -> str:
    address, _, query = url.partition("?")
    kept = [pair for pair in query.split("&") if pair and pair.partition("=")[0] not in _CLIENT_PARAMETERS]
    return f"{address}?{'&'.join(kept)}" if kept else address


def session_settings(options: StoreOptions) -> dict[str, str]:
    """What the session asks of the server, whatever the defaults of database, role or URL are."""
    return {
        "application_name": options.application_name,
        # What is acknowledged must be durable: messages are deleted on the word of this commit.
        "synchronous_commit": "on",
        "default_transaction_isolation": "read committed",
        # The server gives up a little before we do, so that a slow statement has an outcome (57014: not done)
        # instead of a guess; our own timeout remains for a server that says nothing at all.
        "statement_timeout": f"{_server_timeout_seconds(options.write_timeout_seconds) * 1000:.0f}",
        "jit": "off",  # compiling would cost more than an upsert takes
        "timezone": "UTC",
    }


def _server_timeout_seconds(write_timeout_seconds: float) -> float:
    return write_timeout_seconds - min(1.0, 0.1 * write_timeout_seconds)


def _watch_the_network(connection: Connection) -> None:
    """Have the kernel probe a silent peer. The driver sets nothing of the kind, and has no public way to do it."""
    transport: asyncio.Transport = getattr(connection, "_transport")  # noqa: B009  -- not in the typed surface
    wire = transport.get_extra_info("socket")
    if wire is not None:
        enable_tcp_keepalive(wire)
