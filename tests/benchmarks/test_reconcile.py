"""A short run of each measurement of backfill and reconciliation; no figure is judged."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from benchmarks.reconcile import __main__ as reconcile
from benchmarks.reconcile import comparison, drift, live_latency
from benchmarks.reconcile.asked import Asked
from benchmarks.reconcile.record import Recorded, read_record, table
from testkit.checker.latency import Latency
from testkit.s3.generated import GeneratedBucket, GeneratedPlan

KEYS = 600
_SMALL = ["--keys", str(KEYS), "--rounds", "1", "--rate", "40", "--seconds", "2", "--grace", "1"]
GRACE_SECONDS = 5
"""Of the comparison beside live events, which may come late on a busy machine."""
_DRIFT = ["--keys-per-drift", "50"]

pytestmark = pytest.mark.usefixtures("untraced")


def run(folder: Path, *arguments: str) -> Recorded:
    """Run modes; the record afterwards."""
    assert reconcile.main([arguments[0], *_SMALL, *arguments[1:], "--results", str(folder)]) == 0
    return read_record(folder)


def test_a_backfill_is_measured_beside_copy_and_listing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All three have every version; rounds on record are not done again, unless others are asked for."""
    recorded = run(tmp_path, "backfill")
    (measured,) = recorded.backfill
    assert measured.versions == GeneratedBucket(GeneratedPlan(KEYS)).count(is_versions=True)
    assert min(measured.cpu_seconds, measured.list_cpu_seconds, measured.copy_cpu_seconds) > 0
    assert "| backfill | CPU ÷ (COPY + listing) |" in capsys.readouterr().out
    assert run(tmp_path, "backfill") == recorded
    recorded.begin("backfill", msgspec.structs.replace(recorded.asked["backfill"], keys=1), is_fresh=False)
    assert recorded.backfill == []


def test_a_comparison_without_drift_writes_nothing(tmp_path: Path) -> None:
    """The rows that COPY filled are those that the bucket lists."""
    (measured,) = run(tmp_path, "reconcile").reconcile
    assert (measured.rows_written, measured.drift) == (0, 0)
    assert measured.versions == GeneratedBucket(GeneratedPlan(KEYS)).count(is_versions=True)


def test_planted_drift_is_repaired_under_live_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each planted version is found, none more, and the events of changes come in meanwhile."""
    monkeypatch.setattr(drift, "LIVE_SECONDS", 0.5)
    (measured,) = run(tmp_path, "drift", *_DRIFT, "--grace", str(GRACE_SECONDS)).drift
    assert measured.planted >= 9
    assert (measured.found, measured.false, measured.unrepaired) == (measured.planted, 0, 0)
    assert measured.unequal == 0
    assert measured.live_events > 0


def test_latency_is_measured_without_and_beside_a_backfill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have events. On a slow machine the load may end before the backfill writes, and the round is void."""
    monkeypatch.setattr(live_latency, "WARM_SECONDS", 0.1)
    recorded = run(tmp_path, "live-latency")
    (measured,) = recorded.live_latency
    assert min(measured.without.events, measured.beside.events) > 0
    assert 0 <= measured.backfill_versions <= GeneratedBucket(GeneratedPlan(KEYS)).count(is_versions=True)
    shown = "void rounds" if measured.is_void else "p99 beside a backfill ÷ without"
    assert f"| live-latency | {shown}" in table(recorded)


def test_latency_is_the_median_of_the_rounds_that_count() -> None:
    """A round whose backfill wrote nothing is shown and not counted."""
    slow, quick = (Latency(9, 0.1, p99, p99) for p99 in (0.3, 0.2))
    counted = live_latency.LatencyRound(200.0, quick, slow, 40.0, 80_000)
    void = live_latency.LatencyRound(200.0, quick, quick, 40.0, 0)
    shown = table(Recorded(live_latency=[counted, void, void]))
    assert "| live-latency | void rounds (the backfill wrote nothing) | 2 | ≤ 0 | missed |" in shown
    assert "| live-latency | p99 beside a backfill ÷ without | 1.50 | ≤ 1.5 | met |" in shown
    assert "| live-latency | versions a second of the backfill | 2,000 |" in shown


def test_faults_make_the_exit_code_1() -> None:
    """A row that was written, or drift that was missed, is no matter of the machine."""
    clean = comparison.ReconcileRound(1, 1, 1.0, 1.0, 1.0, 1.0, 1, drift=0, rows_written=0)
    found = drift.DriftRound(9, 3, 3, 0, 0, 0, 0, 1, 5, 5.0, 5.0, 5.0, 1.0, 1)
    assert reconcile.is_right(Recorded(reconcile=[clean], drift=[found]))
    for change in ({"drift": 1}, {"rows_written": 1}):
        assert not reconcile.is_right(Recorded(reconcile=[clean, msgspec.structs.replace(clean, **change)]))
    for change in ({"found": 2}, {"false": 1}, {"unrepaired": 1}, {"unequal": 1}):
        wrong = msgspec.structs.replace(found, **change)
        assert not reconcile.is_right(Recorded(drift=[wrong]))
        too_little = Recorded(drift=[msgspec.structs.replace(wrong, stored_per_second=4.8)])
        assert reconcile.is_right(too_little)


def test_a_round_without_its_load_is_void(tmp_path: Path) -> None:
    """It is on record, and the table says so instead of counting it."""
    recorded = Recorded({"drift": Asked(9, 5.0)})
    for sent, stored in ((5.0, 4.8), (4.8, 5.0), (5.0, 5.0)):
        recorded.add("drift", drift.DriftRound(9, 3, 2, 0, 0, 0, 0, 1, 5, 5.0, sent, stored, 1.0, 1), tmp_path)
    shown = (tmp_path / "reconcile" / "reconcile.md").read_text()
    assert "| drift | void rounds (the live load was not reached) | 2 | ≤ 0 | missed |" in shown
    assert "| drift | planted versions found | 2 | ≥ 3 | missed |" in shown
