"""Where LocalStack is known not to behave as the real service: one table, and every entry is run.

A law in the table is expected to fail on LocalStack. If it holds there one day, the run fails until the entry
is gone. On our own server every law must hold.
"""

from __future__ import annotations

import pytest

LOCALSTACK_DIFFERS = {
    "test_a_wrong_secret_is_refused": "LocalStack checks no signature; AWS answers 403, SignatureDoesNotMatch.",
    "test_an_unknown_access_key_is_refused": "LocalStack takes any access key; AWS answers 403.",
    "test_a_failed_entry_has_the_code_of_the_query_protocol": (
        "LocalStack gives the name of the JSON shape; AWS gives InvalidParameterValue."
    ),
    "test_a_second_purge_within_a_minute_is_refused": (
        "LocalStack purges as often as it is asked; AWS once a minute (PurgeQueueInProgress)."
    ),
    "test_a_name_rests_for_a_minute_after_its_queue": (
        "LocalStack gives a name away at once; AWS after 60 seconds (QueueDeletedRecently)."
    ),
    "test_no_message_is_hidden_for_more_than_twelve_hours": (
        "LocalStack takes any timeout; AWS refuses more than 43,200 seconds since the receive."
    ),
    "test_visibility_of_a_message_that_is_visible_cannot_change": (
        "LocalStack does nothing and reports success; AWS answers MessageNotInflight or InvalidParameterValue."
    ),
    "test_a_dead_letter_target_must_exist": (
        "LocalStack looks for the target when a message is moved; AWS when the policy is set."
    ),
    "test_an_older_handle_leaves_the_message": (
        "LocalStack deletes by any handle it ever gave; on AWS only the newest one is sure to delete."
    ),
    "test_a_receive_of_nothing_is_refused": "LocalStack takes 0 for 1; AWS wants 1 to 10.",
    "test_an_entry_id_is_plain_ascii": (
        "LocalStack lets every letter of Unicode pass; AWS has alphanumeric characters, hyphens, underscores."
    ),
}
"""Law to reason."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect the listed laws to fail on LocalStack, strictly."""
    for item in items:
        law, _, parameter = item.name.partition("[")
        is_theirs = "tests/contracts/" in item.path.as_posix() and parameter.startswith("localstack")
        if is_theirs and (reason := LOCALSTACK_DIFFERS.get(law)):
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
