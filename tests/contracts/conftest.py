"""Known differences between LocalStack and AWS.

A contract in the table is expected to fail on LocalStack. If it passes there one day, the run fails until the entry is
removed. Our own emulator must pass every contract.
"""

from __future__ import annotations

import pytest

LOCALSTACK_DIFFERS = {
    "test_a_wrong_secret_is_rejected": "LocalStack verifies no signature; AWS answers 403, SignatureDoesNotMatch.",
    "test_an_unknown_access_key_is_rejected": "LocalStack accepts any access key; AWS answers 403.",
    "test_a_failed_entry_has_the_code_of_the_query_protocol": (
        "LocalStack returns the name of the JSON shape; AWS returns InvalidParameterValue."
    ),
    "test_a_second_purge_within_a_minute_is_rejected": (
        "LocalStack purges on every call; AWS once a minute (PurgeQueueInProgress)."
    ),
    "test_a_name_cannot_be_reused_for_a_minute": (
        "LocalStack allows the name at once; AWS after 60 seconds (QueueDeletedRecently)."
    ),
    "test_visibility_is_limited_to_twelve_hours": (
        "LocalStack accepts any timeout; AWS rejects more than 43,200 seconds since the receive."
    ),
    "test_the_visibility_of_a_visible_message_cannot_change": (
        "LocalStack does nothing and reports success; AWS answers MessageNotInflight or InvalidParameterValue."
    ),
    "test_a_dead_letter_target_must_exist": (
        "LocalStack checks the target when a message moves; AWS when the policy is set."
    ),
    "test_an_older_handle_leaves_the_message": (
        "LocalStack deletes by any earlier handle; on AWS only the newest one certainly deletes."
    ),
    "test_a_receive_of_zero_messages_is_rejected": "LocalStack treats 0 as 1; AWS accepts 1 to 10.",
    "test_an_entry_id_is_plain_ascii": (
        "LocalStack accepts every Unicode letter; AWS only alphanumeric characters, hyphens and underscores."
    ),
}
"""Name of the test → reason."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect the listed contracts to fail on LocalStack, strictly."""
    for item in items:
        contract, _, parameter = item.name.partition("[")
        is_on_localstack = "tests/contracts/" in item.path.as_posix() and parameter.startswith("localstack")
        if is_on_localstack and (reason := LOCALSTACK_DIFFERS.get(contract)):
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
