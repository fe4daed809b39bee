"""From an operator's words to what a sensor is told."""

from __future__ import annotations

import pytest

from subscriber.errors import ConfigurationError
from subscriber.options import sensor_options, store_options
from subscriber.settings.table import Settings
from tests.adapters.load.conftest import WRITER_HOST

REQUIRED = {
    "SUBSCRIBER_QUEUE_URLS": "https://sqs.eu-west-1.amazonaws.com/123456789012/events",
    "SUBSCRIBER_DATABASE_URL": f"postgresql://writer:secret@{WRITER_HOST}:5432/lake",
}


def test_settings_become_options() -> None:
    """The hosts come from the database's URL, the region from the queue's."""
    given = {
        "SUBSCRIBER_DATABASE_LOAD_SOURCE": "CLOUDWATCH",
        "SUBSCRIBER_DATABASE_INSTANCE_ID": "lake-1",
        "SUBSCRIBER_DATABASE_VCPUS": "2.5",
    }
    settings = Settings.from_environment(REQUIRED | given)
    options = sensor_options(settings, store_options(settings))
    assert (options.source, options.instance_id, options.vcpus) == ("cloudwatch", "lake-1", 2.5)
    assert (options.hosts, options.region, options.store) == ((WRITER_HOST,), "eu-west-1", store_options(settings))


def test_no_source_unless_one_is_named() -> None:
    """Nothing needs to be said, and then nothing is read of the database's load."""
    settings = Settings.from_environment(REQUIRED)
    options = sensor_options(settings, store_options(settings))
    assert (options.source, options.instance_id, options.vcpus) == ("none", None, None)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_LOAD_SOURCE", "cpu"),
        ("DATABASE_INSTANCE_ID", "lake.cluster-x"),
        ("DATABASE_INSTANCE_ID", "1lake"),
        ("DATABASE_VCPUS", "0"),
        ("DATABASE_VCPUS", "nan"),
    ],
)
def test_what_cannot_be_is_refused(variable: str, value: str) -> None:
    """With one line, before anything starts."""
    with pytest.raises(ConfigurationError, match=f"^SUBSCRIBER_{variable} is '{value}'"):
        Settings.from_environment(REQUIRED | {f"SUBSCRIBER_{variable}": value})
