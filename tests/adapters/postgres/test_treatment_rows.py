"""The table of failures, row by row: a test causes each in a real server, or a reason says why none can."""

from __future__ import annotations

import importlib

import pytest

from subscriber.errors import FAILURES

CAUSED = {
    "40": "test_treatment_session.test_a_serialization_race",
    "40P01": "test_treatment.test_deadlock",
    "55P03": "test_treatment.test_lock_timeout",
    "55006": "test_treatment_session.test_an_error_inside_a_trigger",
    "23505": "test_treatment.test_a_schema_changed_by_an_operator",
    "42P10": "test_treatment.test_a_schema_changed_by_an_operator",
    "21000": "test_treatment_session.test_a_duplicate_version",
    "53": "test_treatment_session.test_a_changed_session",
    "53200": "test_treatment_session.test_a_server_without_memory",
    "53300": "test_treatment.test_too_many_connections",
    "57014": "test_treatment.test_statement_timeout",
    "54001": "test_treatment.test_a_schema_changed_by_an_operator",
    "08": "test_treatment.test_a_session_terminated_during_a_statement",
    "57P03": "test_treatment_session.test_a_server_that_is_shutting_down",
    "25": "test_treatment_session.test_a_session_in_a_broken_transaction",
    "25006": "test_treatment.test_read_only_session",
    "standby": "test_hosts.test_a_replica_is_skipped",
    "read_only_setting": "test_treatment.test_a_read_only_setting",
    "26000": "test_treatment_session.test_a_changed_session",
    "42P05": "test_treatment_session.test_a_prepared_name_that_is_taken",
    "interface": "test_treatment_session.test_a_connection_closed_before_the_write",
    "network": "test_unavailable.test_a_restart",
    "timeout": "test_unavailable.test_a_hung_server_times_out",
    "28": "test_treatment.test_wrong_password",
    "22": "test_treatment.test_unstorable_value",
    "23502": "test_treatment.test_a_schema_changed_by_an_operator",
    "23503": "test_treatment.test_a_schema_changed_by_an_operator",
    "23514": "test_treatment.test_a_schema_changed_by_an_operator",
    "54000": "test_treatment.test_a_schema_changed_by_an_operator",
    "P0": "test_treatment.test_a_schema_changed_by_an_operator",
    "0A": "test_treatment.test_a_schema_changed_by_an_operator",
    "3D000": "test_treatment.test_missing_database",
    "3F000": "test_treatment_session.test_an_error_inside_a_trigger",
    "42": "test_treatment.test_a_schema_changed_by_an_operator",
    "42501": "test_treatment.test_no_privilege",
    "42704": "test_treatment.test_rejected_parameter",
    "53100": "test_treatment_session.test_a_full_disk",
    "58": "test_treatment_session.test_a_missing_file",
    "XX": "test_treatment_session.test_a_corrupt_page",
    "certificate": "test_tls.test_an_unverified_server_is_rejected",
    "no_tls": "test_treatment.test_a_server_without_tls_is_not_used",
    "pooler": "test_pooler.test_an_undeclared_pooler_is_reported",
    "pooler_mode": "test_pooler.test_a_pooler_in_statement_mode",
    "weaker_session": "test_granted.test_a_login_trigger_that_weakens_sessions",
    "driver": "test_treatment.test_rejected_parameter",
}

NOT_CAUSED = {
    "57P01": "the driver reports the end of the connection, which is 08003, or a closed one",
    "57P02": "the same: after a crash of another process the connection ends",
    "57P05": "a closed idle session is detected before it is used (test_an_expired_idle_session)",
    "cached_statement": "outside of a transaction the driver prepares the statement again",
    "57P04": "the session ends with its database, which is 08003, and the next one fails with 3D000",
    "unsupported_setting": "only what is not PostgreSQL answers so (test_login_answers.test_an_answer_to_a_login)",
    "F0": "a server whose configuration files are broken does not start",
}


def test_every_row_is_covered() -> None:
    """Every row of the table has a test that causes it, or a reason why none can."""
    assert not CAUSED.keys() & NOT_CAUSED.keys()
    assert CAUSED.keys() | NOT_CAUSED.keys() == FAILURES.keys()


@pytest.mark.parametrize("name", sorted(set(CAUSED.values())))
def test_the_named_test_exists(name: str) -> None:
    """With the name in this file."""
    module, _, function = name.partition(".")
    assert callable(getattr(importlib.import_module(f"tests.adapters.postgres.{module}"), function))
