"""Translates the exceptions of asyncpg to StoreErrors; no other module knows them.

There are four families: errors of the server (with an SQLSTATE), errors of the driver about the state of a connection,
timeouts, and network errors. A server that disappears during a statement gives 08003, not 57P01; using a dead
connection gives an InterfaceError without a code.
"""

from __future__ import annotations

import re
import ssl

import asyncpg
from asyncpg import exceptions

from subscriber.errors import StoreError, Treatment, failure_of

_DETAIL_CHARACTERS = 500

DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    exceptions.InternalClientError,
    OSError,  # TimeoutError included
)
"""All exceptions that a driver call raises, except cancellation."""


class StandbyError(asyncpg.ReadOnlySQLTransactionError):
    """The server is a replica."""


class ReadOnlySettingError(asyncpg.ReadOnlySQLTransactionError):
    """The server is the writer, but a setting of the database or the role makes sessions read-only."""


class WeakerSessionError(asyncpg.InterfaceError):
    """The session lacks settings that its login asked for."""


_FAMILIES: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.InvalidCachedStatementError, "cached_statement"),  # 0A000 of any other exception: not supported
    (StandbyError, "standby"),
    (ReadOnlySettingError, "read_only_setting"),
    (WeakerSessionError, "weaker_session"),
    (exceptions.ClientConfigurationError, "driver"),
    (exceptions.UnsupportedClientFeatureError, "driver"),
    (asyncpg.InterfaceError, "interface"),
    (exceptions.InternalClientError, "interface"),
    (ssl.SSLCertVerificationError, "certificate"),
    (TimeoutError, "timeout"),
)
"""Exceptions that are more specific than their SQLSTATE, or have none, and their keys in errors.FAILURES."""


OWN_CONSTRAINTS = frozenset(
    ("object_versions", f"object_versions_{column}_check")
    for column in ("bucket", "key", "version_id", "state", "sequencer", "size_bytes", "etag")
)
"""(table, constraint) of the CHECKs in sql/migrations/1_001_object_versions.sql."""


_TLS_REJECTED = "rejected SSL upgrade"
"""The driver's message, in a plain ConnectionError, if the server declines TLS.

Only the request for TLS has been sent by then. A retry would not help, and a connection without TLS would allow a
downgrade attack.
"""

_CLEAR_WHILE_CONNECTING = frozenset({"42501", "42704"})
"""Of class 42 (syntax and access rules): no CONNECT privilege, and a parameter that the server does not know."""

_POOLER_ANSWERS = (
    (re.compile(r'database ".*" does not exist|no such database'), "3D000"),
    (re.compile(r"no such user|authentication failed|password"), "28000"),
)
"""Words of PgBouncer's answers to a login and the SQLSTATE that PostgreSQL gives. PgBouncer 1.18 answers 08P01 to all,
also where it only waits for the server, which is then a lost connection."""

_RDS_PROXY = ".proxy-"
"""In the host names of RDS Proxy (NAME.proxy-ID.REGION.rds.amazonaws.com)."""

_POOLER_MODE = "statement pooling mode"
"""In PgBouncer's rejection of BEGIN with pool_mode = statement."""

_POOLER_REJECTS = "unsupported startup parameter"
"""PgBouncer's message, as a protocol violation, for a setting that a session may not start with."""


def store_error(error: Exception, schema: str = "") -> StoreError:
    """The StoreError for one of DRIVER_ERRORS; the caller raises it `from error`.

    Args:
        error: raised by the driver.
        schema: of our tables; empty: no constraint counts as ours.
    """
    sqlstate = error.sqlstate if isinstance(error, asyncpg.PostgresError) else None
    failure = failure_of(_family(error) or sqlstate or "network")
    own = _names_own_constraint(error, schema)
    return StoreError(
        failure.treatment, failure.word, sqlstate, _detail(error), failure.advice, names_own_constraint=own
    )


def _names_own_constraint(error: Exception, schema: str) -> bool:
    """Whether a row violates a constraint of our own migrations: then only the row can be the cause.

    The schema counts, too: a trigger may copy rows into a table that was made LIKE ours.
    """
    named = (getattr(error, "table_name", None), getattr(error, "constraint_name", None))
    return bool(schema) and getattr(error, "schema_name", None) == schema and named in OWN_CONSTRAINTS


def connect_error(error: Exception, where: str = "") -> StoreError:
    """The same while connecting: there is no statement yet, so what is rejected is one of our settings.

    Args:
        error: raised by the driver.
        where: the host and port, for the operator.
    """
    failure = store_error(error)
    key = _family_while_connecting(error, failure, where)
    ours = failure_of(key) if key else failure
    detail = f"{where}: {failure.detail}" if where else failure.detail
    return StoreError(ours.treatment, ours.word, failure.sqlstate, detail, ours.advice)


def _family_while_connecting(error: Exception, failure: StoreError, where: str) -> str | None:
    """The family of errors that mean something else while connecting; None: the SQLSTATE says all."""
    if not isinstance(error, asyncpg.PostgresError):
        return None
    text, sqlstate = failure.detail.lower(), failure.sqlstate or ""
    if sqlstate == "0A000":
        return "pooler" if "proxy" in text or _RDS_PROXY in where else "unsupported_setting"
    if sqlstate == "08P01":
        return next((key for words, key in _POOLER_ANSWERS if words.search(text)), None)
    if sqlstate[:2] == "42" and sqlstate not in _CLEAR_WHILE_CONNECTING:
        return "driver"
    return "driver" if failure.treatment is Treatment.BISECT else None


def _family(error: Exception) -> str | None:
    if isinstance(error, ConnectionError) and _TLS_REJECTED in str(error):
        return "no_tls"
    if isinstance(error, asyncpg.PostgresError) and _POOLER_REJECTS in str(error):
        return "pooler"
    if isinstance(error, asyncpg.PostgresError) and _POOLER_MODE in str(error):
        return "pooler_mode"
    return next((key for kind, key in _FAMILIES if isinstance(error, kind)), None)


def _detail(error: Exception) -> str:
    """The first line of the message, safe to log: PostgreSQL quotes the failing row only in further lines."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:_DETAIL_CHARACTERS].encode("utf-8", "backslashreplace").decode()
