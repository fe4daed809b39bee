"""From what asyncpg raises to a StoreError: the only place that knows the driver's exceptions.

Four families arrive here: errors of the server (they carry an SQLSTATE), errors of the driver about the state of
a connection, timeouts, and errors of the network. A server that goes away in the middle of a statement shows up
as 08003, not as 57P01; a connection that is used after its death as an InterfaceError without any code.
"""

from __future__ import annotations

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
"""All that a call of the driver is known to raise, cancellation apart."""

REUSABLE = frozenset({Treatment.RETRY, Treatment.BACK_OFF, Treatment.BISECT, Treatment.MAYBE_ROW})
"""After these the server has said what became of the statement, and the connection is as good as before."""


_FAMILIES: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.InvalidCachedStatementError, "cached_statement"),  # 0A000 from anywhere else: not supported
    (exceptions.TargetServerAttributeNotMatched, "25006"),
    (exceptions.ClientConfigurationError, "driver"),
    (exceptions.UnsupportedClientFeatureError, "driver"),
    (asyncpg.InterfaceError, "interface"),
    (exceptions.InternalClientError, "interface"),
    (ssl.SSLCertVerificationError, "certificate"),
    (TimeoutError, "timeout"),
)
"""Exceptions that say more than their SQLSTATE, or have none, and their keys in the table of failures."""


_TLS_REFUSED = "rejected SSL upgrade"
"""What the driver says, in a ConnectionError like any other, of a server that answers our request for TLS with no.

Nothing but the request has been sent by then. Waiting would not help, and going on without TLS is what somebody who
sits in between would like.
"""

_POOLER_REFUSES = "unsupported startup parameter"
"""What PgBouncer says, as a protocol violation like any other, of settings that a session may not begin with."""


def store_error(error: Exception) -> StoreError:
    """What one of DRIVER_ERRORS means to the caller, who raises it from the error."""
    sqlstate = error.sqlstate if isinstance(error, asyncpg.PostgresError) else None
    failure = failure_of(_family(error) or sqlstate or "network")
    return StoreError(failure.treatment, failure.word, sqlstate, _detail(error), failure.advice)


def connect_error(error: Exception) -> StoreError:
    """The same for a connection being made: there is no row yet, so a value that is refused is one of our settings."""
    failure = store_error(error)
    if failure.treatment is not Treatment.BISECT:
        return failure
    ours = failure_of("driver")
    return StoreError(ours.treatment, ours.word, failure.sqlstate, failure.detail, ours.advice)


def _family(error: Exception) -> str | None:
    if isinstance(error, ConnectionError) and _TLS_REFUSED in str(error):
        return "no_tls"
    if isinstance(error, asyncpg.PostgresError) and _POOLER_REFUSES in str(error):
        return "pooler"
    return next((key for kind, key in _FAMILIES if isinstance(error, kind)), None)


def _detail(error: Exception) -> str:
    """The first line, fit for a log: a server quotes the failing row in the lines after it."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:_DETAIL_CHARACTERS].encode("utf-8", "backslashreplace").decode()
