"""From samples to figures, to the file, to the page, to the exit code."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from benchmarks.charts import ceiling
from benchmarks.loadtest import __main__ as bench
from benchmarks.loadtest.html_report import page, panels, write_page
from benchmarks.loadtest.result import Report, Run, figures, read_report, read_standing, report, write_report
from benchmarks.loadtest.row_checker import CheckResult
from benchmarks.loadtest.samples import Sample
from testkit.postgres.postgres_binaries import LocalPostgresError
from testkit.process import PartError
from testkit.terminal import Screen

SAMPLES = tuple(
    Sample(
        seconds=float(second),
        offered=1_000 if second else 0,
        unfinished=1_000 - 250 * second if second else 0,
        cpu_seconds={"consumer": 1 + 0.01 * second, "queue": 2 + 0.02 * second, "database": 3 + 0.03 * second},
        resident_bytes=(10 + second) * 1024**2,
        received=250.0 * second,
        receive_requests=50.0 * second,
        settle_requests=30.0 * second,
        batches=2.0 * second,
        batched_rows=240.0 * second,
        lag_seconds=float(second),
    )
    for second in range(5)
)


def run(name: str = "subscriber", **faults: int) -> Run:
    """A run, without a fault unless one is named."""
    return Run(name, msgspec.structs.replace(CheckResult(0, 0, 0), **faults), figures(SAMPLES), 0, SAMPLES)


def test_figures_are_differences_over_the_whole_drain() -> None:
    """What the parts used before the first message is not counted."""
    found = figures(SAMPLES)
    assert found.messages_per_second == 250
    assert found.cpu_microseconds_per_message == pytest.approx({"consumer": 40, "queue": 80, "database": 120})
    assert found.database_cpu_share == pytest.approx(0.03)
    assert (found.messages_per_receive, found.rows_per_batch) == (5, 120)
    assert found.requests_per_message == pytest.approx(0.32)
    assert (found.resident_mib_at_most, found.lag_seconds_at_most) == (14, 4)


def test_a_report_survives_its_file(tmp_path: Path) -> None:
    """What is read is what was written, the facts about the machine included."""
    written = report("flood", "How fast?", [run()])
    assert read_report(write_report(written, tmp_path)) == written
    assert written.machine.cores > 0


def test_the_page_is_well_formed(tmp_path: Path) -> None:
    """Page and charts parse as XML; a comparison has bars, and a fault is shown."""
    write_report(report("peers", "Who < whom?", [run(), run("other", lost=1)]), tmp_path)
    text = write_page(tmp_path).read_text("utf-8")
    tree = ET.fromstring(text.removeprefix("<!doctype html>\n"))
    drawn = [element.get("class") for element in tree.iter() if element.get("class")]
    assert drawn.count("line") == len(panels(SAMPLES)) == 6
    assert drawn.count("bar") == 6
    assert "NOT FLAWLESS" in text
    assert "Who &lt; whom?" in page([read_report(tmp_path / "peers.json")])


def test_what_held_a_ceiling_is_compared_in_one_table() -> None:
    """A row for each run of the same figures, and none for a run that held none."""

    def held(name: str, **control: float | None) -> Run:
        return msgspec.structs.replace(run(name), figures=msgspec.structs.replace(figures(SAMPLES), control=control))

    runs = [held("governor", mean_cpu_percent=57.6), held("fixed", mean_cpu_percent=None), run("floor")]
    text = page([report("governor-laws", "", runs)])
    rows = "<tr><td>governor</td><td>57.6</td></tr>\n<tr><td>fixed</td><td>never</td></tr>"
    assert f"<table>\n<tr><th></th><th>mean cpu percent</th></tr>\n{rows}\n</table>" in text


def test_a_picture_stands_alone(tmp_path: Path) -> None:
    """Of a burst, and of nothing else, there is a file with all panels, its own colors and a ground under them."""
    for name in ("burst", "steady"):
        write_report(report(name, f"How <{name}>?", [run()]), tmp_path)
    write_page(tmp_path)
    assert [path.name for path in tmp_path.glob("*.svg")] == ["burst.svg"]
    drawn = ET.fromstring((tmp_path / "burst.svg").read_text("utf-8"))
    by_class = {kind: drawn.findall(f".//*[@class='{kind}']") for kind in ("line", "ground", "head", "caption")}
    assert {kind: len(found) for kind, found in by_class.items()} == {"line": 6, "ground": 1, "head": 1, "caption": 1}
    assert by_class["head"][0].text == "How <burst>?"
    style = drawn.findtext("{*}style") or ""
    assert "currentColor" not in style
    assert all(f".{kind} " in style for kind in ("line", "ground", "grid", "title", "name", "tick"))
    _, _, width, height = map(float, drawn.attrib["viewBox"].split())
    ground = by_class["ground"][0].attrib
    assert (float(ground["width"]), float(ground["height"])) == (width - 1, height - 1)


@pytest.mark.parametrize(("value", "end"), [(0, 1), (0.7, 1), (1, 1), (1.1, 2), (230, 500), (5_001, 10_000)])
def test_an_axis_ends_well(value: float, end: float) -> None:
    """An axis ends with 1, 2 or 5 times a power of ten, never below its highest value."""
    assert ceiling(value) == pytest.approx(end)


@pytest.mark.parametrize(("lost", "is_flawless"), [(0, True), (1, False)])
def test_a_wrong_row_fails_the_run(
    lost: int, is_flawless: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One lost message in one of several scenarios fails them all, and every report is written nevertheless."""

    def measured(name: str, screen: Screen, folder: Path) -> Report:
        return report(name, "", [run(lost=lost if name == "first" else 0)])

    monkeypatch.setattr(bench, "measure", measured)
    assert bench.run(["first", "second"], tmp_path, Screen(io.StringIO())) is is_flawless
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "first.json",
        "index.html",
        "second.json",
        "targets.json",
    ]


@pytest.mark.parametrize("error", [PartError, LocalPostgresError])
def test_a_scenario_that_fails_fails_alone(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are measured; the failure is told by terminal, file and exit code, and its old report is gone."""

    def measured(name: str, screen: Screen, folder: Path) -> Report:
        if name == "second":
            raise error("the queue server is out of luck\nits last words")
        return report(name, "", [run()])

    write_report(report("second", "", [run()]), tmp_path)
    monkeypatch.setattr(bench, "measure", measured)
    terminal = io.StringIO()
    assert bench.run(["first", "second", "third"], tmp_path, Screen(terminal)) is False
    assert sorted(path.stem for path in tmp_path.glob("*.json")) == ["first", "targets", "third"]
    standing = read_standing(tmp_path)
    assert standing is not None
    assert standing.failures == {"second": "the queue server is out of luck"}
    assert terminal.getvalue().count("second FAILED: the queue server is out of luck") == 2
    assert terminal.getvalue().count("its last words") == 1
    assert "2 of 3 measured" in terminal.getvalue()


def test_the_committed_results_make_a_page(tmp_path: Path) -> None:
    """Whatever else is kept in the folder of results, its reports can be read and drawn."""
    for path in bench.RESULTS.glob("*.json"):
        shutil.copy(path, tmp_path)
    assert "<h2>flood</h2>" in write_page(tmp_path).read_text("utf-8")
