"""What the first look at a queue finds, by its attributes."""

from __future__ import annotations

import json

import pytest

from subscriber.edge.sqs_probe import findings

GOOD = {
    "MaximumMessageSize": "1048576",
    "RedrivePolicy": json.dumps(
        {"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:123456789012:dead", "maxReceiveCount": 10}
    ),
}


def test_a_good_queue_has_no_findings() -> None:
    """Large enough messages, a redrive policy with patience."""
    assert findings(GOOD) == []


@pytest.mark.parametrize(
    ("changed", "severity", "words"),
    [
        ({"FifoQueue": "true"}, "refused", "use a standard queue"),
        ({"MaximumMessageSize": "65535"}, "refused", "set MaximumMessageSize to 65536 or more"),
        ({"RedrivePolicy": ""}, "warning", "no redrive policy"),
        ({"RedrivePolicy": '{"maxReceiveCount":"2"}'}, "warning", "set maxReceiveCount to 5 or more"),
    ],
)
def test_each_mistake_is_found_alone(changed: dict[str, str], severity: str, words: str) -> None:
    """One finding, of its severity, with what to do."""
    (finding,) = findings(GOOD | changed)
    assert finding.severity == severity
    assert words in finding.text


def test_the_worst_comes_first() -> None:
    """Refusals before warnings."""
    severities = [finding.severity for finding in findings({"FifoQueue": "true", "MaximumMessageSize": "1024"})]
    assert severities == ["refused", "refused", "warning"]
