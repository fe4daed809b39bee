"""SUBSCRIBER_BUCKETS: a list of names, checked at the start, that reaches the line."""

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
        ("lake, lake", "'lake' is there twice"),
        (",", "no name"),
    ],
)
def test_a_mistyped_list_is_refused(buckets: str, problem: str) -> None:
    """It would send every event to the quarantine: the line says which name is wrong."""
    with pytest.raises(ConfigurationError, match=r"^SUBSCRIBER_BUCKETS is ") as refusal:
        read(BUCKETS=buckets)
    assert f": {problem}; it takes names of buckets" in str(refusal.value)


def test_the_list_reaches_the_line() -> None:
    """Without one every bucket's events are taken; with one, those of the names in it, letter for letter."""
    assert pipeline_options(read()).buckets is None
    assert pipeline_options(read(BUCKETS="lake-raw, Lake_2.x")).buckets == frozenset({"lake-raw", "Lake_2.x"})
