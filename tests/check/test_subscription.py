"""Which queues of a bucket's configuration are ours."""

from __future__ import annotations

import pytest

from subscriber.check.subscription import our_arns

ARN = "arn:aws:sqs:eu-west-1:123456789012:events"


@pytest.mark.parametrize(
    ("url", "is_ours"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/123456789012/events", True),
        ("https://vpce-1.sqs.eu-west-1.vpce.amazonaws.com/123456789012/events", True),
        ("http://localhost:9324/queue/events", True),
        ("https://sqs.eu-west-1.amazonaws.com/210987654321/events", False),
        ("https://sqs.eu-west-1.amazonaws.com/123456789012/event", False),
    ],
)
def test_a_queue_is_known_by_account_and_name(url: str, *, is_ours: bool) -> None:
    """A URL without an account, as of an emulator, goes by its name."""
    configuration = {"QueueConfigurations": [{"QueueArn": ARN}, {"QueueArn": "nonsense"}, {}]}
    assert our_arns(configuration, [url]) == ({ARN} if is_ours else set())
