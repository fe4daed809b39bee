"""From failure to treatment, row by row: each is caused in a real server by a test, or it says why it cannot be."""

from __future__ import annotations

import importlib

import pytest

from subscriber.errors import FAILURES

CAUSED = {
    "40": "test_treatment_session.test_a_serialization_race",
    "40P01": "test_treatment.test_deadlock",
    "55P03": "test_treatment.test_lock_timeout",
    "55006": "test_treatment_session.test_what_a_trigger_meets",
    "23505": "test_treatment.test_what_an_operator_did_to_the_schema",
    "42P10": "test_treatment.test_what_an_operator_did_to_the_schema",
    "21000": "test_treatment_session.test_a_version_named_twice",
    "53": "test_treatment_session.test_what_was_done_to_the_session",
    "53200": "test_treatment_session.test_a_server_without_memory",
    "53300": "test_treatment.test_too_many_connections",
    "57014": "test_treatment.test_statement_timeout",
    "54001": "test_treatment.test_what_an_operator_did_to_the_schema",
    "08": "test_treatment.test_session_ended_in_the_middle",
    "57P03": "test_treatment_session.test_a_server_that_is_shutting_down",
    "25": "test_treatment_session.test_a_session_in_a_broken_transaction",
    "25006": "test_treatment.test_read_only_session",
    "26000": "test_treatment_session.test_what_was_done_to_the_session",
    "42P05": "test_treatment_session.test_prepared_statements_mixed_up",
    "interface": "test_treatment_session.test_a_connection_closed_underneath",
    "network": "test_unavailable.test_away_and_back",
    "timeout": "test_unavailable.test_silence_ends_in_time",
    "28": "test_treatment.test_wrong_password",
    "22": "test_treatment.test_unstorable_value",
    "23502": "test_treatment.test_what_an_operator_did_to_the_schema",
    "23503": "test_treatment.test_what_an_operator_did_to_the_schema",
    "23514": "test_treatment.test_what_an_operator_did_to_the_schema",
    "54000": "test_treatment.test_what_an_operator_did_to_the_schema",
    "P0": "test_treatment.test_what_an_operator_did_to_the_schema",
    "0A": "test_treatment.test_what_an_operator_did_to_the_schema",
    "3D000": "test_treatment.test_missing_database",
    "3F000": "test_treatment_session.test_what_a_trigger_meets",
    "42": "test_treatment.test_what_an_operator_did_to_the_schema",
    "42501": "test_treatment.test_no_privilege",
    "42704": "test_treatment.test_useless_parameter",
    "53100": "test_treatment_session.test_a_full_disk",
    "58": "test_treatment_session.test_a_file_that_is_missing",
    "XX": "test_treatment_session.test_a_page_that_is_corrupt",
    "certificate": "test_tls.test_an_unverified_server_is_not",
    "no_tls": "test_treatment.test_encryption_where_there_is_none",
    "pooler": "test_pooler.test_a_pooler_that_was_not_named_is_refused_with_its_remedy",
    "driver": "test_treatment.test_useless_parameter",
}

NOT_CAUSED = {
    "57P01": "the driver reports the end of the connection, which is 08003, or a closed one",
    "57P02": "the same: a crash of another process reaches us as the end of the connection",
    "57P05": "an idle session that ends is noticed before it is used (test_a_session_that_was_idle_for_too_long)",
    "cached_statement": "outside of a transaction, where we are, the driver prepares anew by itself",
    "57P04": "the session is ended with its database, which is 08003, and the next one meets 3D000",
    "F0": "a server whose configuration files are broken does not start",
}


def test_no_row_is_forgotten() -> None:
    """A new row of the table comes with the test that causes it, or with the reason why none can."""
    assert not CAUSED.keys() & NOT_CAUSED.keys()
    assert CAUSED.keys() | NOT_CAUSED.keys() == FAILURES.keys()


@pytest.mark.parametrize("name", sorted(set(CAUSED.values())))
def test_the_test_is_there(name: str) -> None:
    """By the name it is given here."""
    module, _, function = name.partition(".")
    assert callable(getattr(importlib.import_module(f"tests.adapters.postgres.{module}"), function))
