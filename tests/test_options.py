"""From settings to the options of a sensor."""

from __future__ import annotations

import pytest

from subscriber.errors import ConfigurationError
from subscriber.options import open_files_needed, sensor_options, store_options
from subscriber.settings.table import Settings
from tests.adapters.load.conftest import WRITER_HOST

REQUIRED = {
    "SUBSCRIBER_QUEUE_URLS": "https://sqs.eu-west-1.amazonaws.com/123456789012/events",
    "SUBSCRIBER_DATABASE_URL": f"postgresql://writer:secret@{WRITER_HOST}:5432/lake",
}


def test_settings_become_options() -> None:
    """The hosts come from the database URL, the region from the queue URL."""
    given = {
        "SUBSCRIBER_DATABASE_LOAD_SOURCE": "CLOUDWATCH",
        "SUBSCRIBER_DATABASE_INSTANCE_ID": "lake-1",
        "SUBSCRIBER_DATABASE_VCPUS": "2.5",
    }
    settings = Settings.from_environment(REQUIRED | given)
    options = sensor_options(settings, store_options(settings))
    assert (options.source, options.instance_id, options.vcpus) == ("cloudwatch", "lake-1", 2.5)
    assert (options.hosts, options.region, options.store) == ((WRITER_HOST,), "eu-west-1", store_options(settings))


def test_a_schedule_adds_connections() -> None:
    """Eight to the database, which are in the sum of a check, and four to S3."""
    plain, scheduled = (
        Settings.from_environment(REQUIRED),
        Settings.from_environment(REQUIRED | {"SUBSCRIBER_RECONCILE_EVERY_HOURS": "24"}),
    )
    assert store_options(plain).connections_beside == 0
    assert store_options(scheduled).connections_beside == 8
    assert open_files_needed(scheduled) == open_files_needed(plain) + 8 + 4
    enriching = Settings.from_environment(
        REQUIRED | {"SUBSCRIBER_ENRICH": "true", "SUBSCRIBER_ENRICH_CONCURRENCY": "20"}
    )
    assert open_files_needed(enriching) == open_files_needed(plain) + 21


def test_there_is_no_load_source_by_default() -> None:
    """Without the setting, no database load is read."""
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
def test_an_invalid_value_is_rejected(variable: str, value: str) -> None:
    """With one line, before anything starts."""
    with pytest.raises(ConfigurationError, match=f"^SUBSCRIBER_{variable} is '{value}'"):
        Settings.from_environment(REQUIRED | {f"SUBSCRIBER_{variable}": value})
