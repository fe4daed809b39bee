"""SUBSCRIBER_BUCKETS: a list of names, checked at start and passed to the pipeline."""

from __future__ import annotations

import pytest

from subscriber.errors import ConfigurationError
from subscriber.options import pipeline_options
from tests.settings.test_settings import read


@pytest.mark.parametrize(
    ("buckets", "problem"),
    [
        ("ab", "'ab' is not the name of a bucket"),
        ("lake,ra w", "'ra w' is not the name of a bucket"),
        ("s3://lake", "'s3://lake' is not the name of a bucket"),
        ("lake, lake", "'lake' is listed twice"),
        (",", "it names no bucket"),
    ],
)
def test_a_mistyped_list_is_rejected(buckets: str, problem: str) -> None:
    """It would quarantine every event: the error says which name is wrong."""
    with pytest.raises(ConfigurationError, match=r"^SUBSCRIBER_BUCKETS is ") as caught:
        read(BUCKETS=buckets)
    assert f": {problem}; it takes bucket names" in str(caught.value)


def test_the_list_reaches_the_pipeline() -> None:
    """Without a list every bucket is allowed; with one, only the names in it, case-sensitive."""
    assert pipeline_options(read()).buckets is None
    assert pipeline_options(read(BUCKETS="lake-raw, Lake_2.x")).buckets == frozenset({"lake-raw", "Lake_2.x"})
