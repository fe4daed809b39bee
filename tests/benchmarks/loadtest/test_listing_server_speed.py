"""The benchmark of the listing server walks real pages and judges by its budget."""

from __future__ import annotations

import pytest

from benchmarks.loadtest.listing_server_speed import following, main


@pytest.mark.parametrize(("budget", "code"), [("1000", 0), ("0.0001", 1)])
def test_both_listings_are_measured(budget: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Each listing has its line, and the exit code tells whether the budget was kept."""
    assert main(["--pages", "3", "--rounds", "1", "--budget", budget]) == code
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("ListObjectVersions: ")
    assert second.startswith("ListObjectsV2: ")


def test_markers_are_decoded() -> None:
    """A marker comes back as text, to be encoded again in the query."""
    assert following(b"<NextKeyMarker>a+b%2Bc</NextKeyMarker><NextVersionIdMarker>v1<") == {
        "key-marker": "a b+c",
        "version-id-marker": "v1",
    }
