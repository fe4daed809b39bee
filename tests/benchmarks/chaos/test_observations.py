"""The chaos test of observations: short runs, what it records, and that it can fail."""

from __future__ import annotations

from pathlib import Path
from random import Random

import msgspec
import pytest

from benchmarks.chaos.scenario_observations import ObservationsResult, observations_scenario
from subscriber.reconcile import compare
from testkit.reconcile.claims import bucket_of
from testkit.reconcile.interleaving import Interleaving, Mix
from testkit.reconcile.model_index import ModelIndex
from testkit.terminal import Screen

pytestmark = pytest.mark.usefixtures("untraced")


def recorded(folder: Path) -> ObservationsResult:
    """The record of a run."""
    return msgspec.json.decode((folder / "observations.json").read_bytes(), type=ObservationsResult)


def test_a_few_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is wrong, every seed is counted, and the line says so."""
    assert observations_scenario(5, 11, tmp_path / "observations.json", Screen())
    result = recorded(tmp_path)
    assert (result.seeds, result.first_seed, result.wrong, result.broken) == (5, 11, 0, {})
    assert result.events > 500
    assert result.observations > 50
    assert "5 seeds" in capsys.readouterr().out


def test_a_rule_that_is_missing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If every key were judged, at once, the record would name seeds and rows."""
    monkeypatch.setattr(compare, "_is_fresh", lambda *_: False)
    assert not observations_scenario(5, 11, tmp_path / "observations.json", Screen())
    result = recorded(tmp_path)
    assert result.wrong == sum(map(len, result.broken.values())) > 0


def test_the_line_of_a_result() -> None:
    """All counts of all seeds, and what is wrong."""
    bucket = bucket_of("lake", Random(0), ("enabled", False))
    bucket.put("a", 1)
    run = Interleaving(bucket, ModelIndex(lambda: bucket.now), Random(0), Mix())
    run.events, run.observations, run.verdicts["agree"] = 1_000, 3, 2
    result = ObservationsResult()
    result.add(7, run, [])
    result.add(8, run, ["one", "two"])
    assert result.describe() == "2 seeds, 2 keys, 2,000 events, 6 observations, wrong = 2, 0 s"
    assert (result.broken, result.verdicts) == ({8: ["one", "two"]}, {"agree": 4})
