"""A short run of the benchmark of listings, and its readers of XML."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from benchmarks.listing import __main__ as listing
from benchmarks.listing.xml_readers import READERS, page


@pytest.mark.usefixtures("untraced")
def test_a_short_run_counts_the_same_entries_by_each_lister(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the variants that need nothing else: one worker and eight."""
    monkeypatch.setattr(listing, "installed", lambda: iter(listing.variants()[:2]))
    output = tmp_path / "listing.json"
    assert listing.main(["--keys", "3000", "--rounds", "1", "--output", str(output)]) == 0
    medians = msgspec.json.decode(output.read_bytes(), type=list[listing.Median])
    assert [each.operation for each in medians] == ["keys", "keys", "versions", "versions"]
    assert 0 < medians[0].entries == medians[1].entries <= 3000  # a key behind a delete marker is not listed
    assert medians[2].entries == medians[3].entries > 3000
    assert "| subscriber, 8 workers | versions |" in capsys.readouterr().out


def test_the_readers_that_need_nothing_else_agree() -> None:
    """What is compared does the same work."""
    content = page(20)
    first, *others = [READERS[name](content) for name in list(READERS)[:3]]
    assert len(first) == 20
    assert others == [first, first]
