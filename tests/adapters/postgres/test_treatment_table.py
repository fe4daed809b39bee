"""The table of failures, and errors that no test can cause cheaply."""

from __future__ import annotations

import re
import ssl

import asyncpg
import pytest
from asyncpg import exceptions

from subscriber.adapters.postgres.failures import store_error
from subscriber.errors import FAILURES, DatabaseError, ExitCode, Treatment, failure_of


@pytest.mark.parametrize(
    ("error", "treatment", "word"),
    [
        (asyncpg.SerializationError("x"), Treatment.RETRY, "serialization"),
        (asyncpg.StatementCompletionUnknownError("x"), Treatment.RETRY, "serialization"),
        (asyncpg.ObjectInUseError("x"), Treatment.RETRY, "object_in_use"),
        (asyncpg.OutOfMemoryError("x"), Treatment.BACK_OFF, "out_of_memory"),
        (asyncpg.ConfigurationLimitExceededError("x"), Treatment.BACK_OFF, "resources"),
        (asyncpg.StatementTooComplexError("x"), Treatment.BACK_OFF, "stack_depth"),
        (asyncpg.AdminShutdownError("x"), Treatment.RECONNECT, "shutdown"),
        (asyncpg.CrashShutdownError("x"), Treatment.RECONNECT, "crash"),
        (asyncpg.CannotConnectNowError("x"), Treatment.RECONNECT, "not_ready"),
        (asyncpg.ConnectionFailureError("x"), Treatment.RECONNECT, "connection_lost"),
        (asyncpg.InFailedSQLTransactionError("x"), Treatment.RECONNECT, "transaction_state"),
        (asyncpg.InvalidSQLStatementNameError("x"), Treatment.RECONNECT, "statement_lost"),
        (asyncpg.DuplicatePreparedStatementError("x"), Treatment.RECONNECT, "statement_mixed"),
        (exceptions.InvalidCachedStatementError("x"), Treatment.RECONNECT, "statement_outdated"),
        (asyncpg.InterfaceError("connection is closed"), Treatment.RECONNECT, "connection_closed"),
        (exceptions.ProtocolError("x"), Treatment.RECONNECT, "connection_closed"),
        (TimeoutError(), Treatment.RECONNECT, "timeout"),
        (ConnectionRefusedError("x"), Treatment.RECONNECT, "unreachable"),
        (asyncpg.InvalidAuthorizationSpecificationError("x"), Treatment.CREDENTIALS, "credentials"),
        (asyncpg.DiskFullError("x"), Treatment.STOP, "disk_full"),
        (asyncpg.FeatureNotSupportedError("x"), Treatment.STOP, "unsupported"),
        (asyncpg.DatabaseDroppedError("x"), Treatment.STOP, "no_database"),
        (asyncpg.PostgresIOError("x"), Treatment.STOP, "system_error"),
        (asyncpg.DataCorruptedError("x"), Treatment.STOP, "internal_error"),
        (asyncpg.IndexCorruptedError("x"), Treatment.STOP, "internal_error"),
        (ssl.SSLCertVerificationError("x"), Treatment.STOP, "certificate"),
        (asyncpg.ClientConfigurationError("x"), Treatment.STOP, "driver"),
        (asyncpg.TriggeredDataChangeViolationError("x"), Treatment.BACK_OFF, "unclassified"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_errors_that_are_hard_to_cause(error: Exception, treatment: Treatment, word: str) -> None:
    """Errors that a test cannot cause cheaply also have a row in the table."""
    failure = store_error(error)
    assert (failure.treatment, failure.word) == (treatment, word)


def test_only_errors_about_rows_lead_to_quarantine() -> None:
    """BISECT ends in quarantine: only SQLSTATE classes about a value or a row may have it."""
    halving = {key for key, failure in FAILURES.items() if failure.treatment is Treatment.BISECT}
    assert halving == {"22", "23502", "23503", "23514"}


@pytest.mark.parametrize("key", FAILURES)
def test_every_row_of_the_table_is_well_formed(key: str) -> None:
    """A key is a code, a class or a family; a word is fit for a metric label; the advice is a sentence."""
    failure = failure_of(key)
    assert re.fullmatch("[0-9A-Z]{2}|[0-9A-Z]{5}|[a-z_]{6,}", key)
    assert re.fullmatch("[a-z_]+", failure.word)
    assert re.fullmatch(r"[A-Z].*[.?]", failure.advice)


def test_a_store_error_is_a_sentence_for_the_operator() -> None:
    """Its text starts with the advice and ends with the database's message; its exit code is the database's."""
    error = store_error(asyncpg.DiskFullError("could not extend file\nDETAIL: a row"))
    assert str(error) == "The database's disk is full. (disk_full 53100: could not extend file)"
    assert isinstance(error, DatabaseError)
    assert error.exit_code is ExitCode.DATABASE


def test_details_can_be_logged() -> None:
    """A lone surrogate in the driver's message does not break the log."""
    assert store_error(asyncpg.DataError("bad \ud800")).detail == "bad \\ud800"
