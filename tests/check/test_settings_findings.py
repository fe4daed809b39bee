"""Settings that are valid and may hurt."""

from __future__ import annotations

import pytest

from subscriber.check.rules.settings import hold_findings
from subscriber.settings.table import Settings


@pytest.mark.parametrize(("write_timeout", "hold", "warns"), [(30, 900, False), (30, 899, True), (1, 30, False)])
def test_poison_is_found_within_a_tenth_of_the_hold_time(write_timeout: float, hold: float, warns: bool) -> None:
    """Else the check says which setting to change, and to what."""
    found = list(hold_findings(write_timeout, hold))
    assert bool(found) == warns
    if warns:
        assert found[0].severity == "warning"
        assert "SUBSCRIBER_HOLD_MAX_SECONDS to 900 or more" in found[0].remedy
        assert "SUBSCRIBER_WRITE_TIMEOUT_SECONDS to 29.9" in found[0].remedy


def test_the_defaults_do_not_warn() -> None:
    """As they are declared."""
    settings = Settings.from_environment(
        {
            "SUBSCRIBER_QUEUE_URLS": "https://sqs.eu-west-1.amazonaws.com/1/q",
            "SUBSCRIBER_DATABASE_URL": "postgresql://a@b/c",
        }
    )
    assert list(hold_findings(settings.write_timeout_seconds, settings.hold_max_seconds)) == []
