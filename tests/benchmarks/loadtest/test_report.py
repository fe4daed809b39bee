"""From samples to figures, files, page and exit code."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from benchmarks.charts import bar_chart, ceiling
from benchmarks.loadtest import __main__ as bench
from benchmarks.loadtest.html_report import CONTROL_MEANINGS, PAGE_NAME, page, write_page
from benchmarks.loadtest.plots import panels, write_picture
from benchmarks.loadtest.result import (
    SAMPLES_FOLDER,
    SCORECARD_NAME,
    Mark,
    Report,
    Run,
    figures,
    read_report,
    read_scorecard,
    report,
    summary,
    write_report,
)
from benchmarks.loadtest.row_checker import CheckResult
from benchmarks.loadtest.samples import Sample
from testkit.postgres.postgres_binaries import LocalPostgresError
from testkit.process import ProcessError
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
        receive_age_seconds=float(second),
    )
    for second in range(5)
)


def run(name: str = "subscriber", **faults: int) -> Run:
    """A run, without a fault unless one is named."""
    return Run(name, msgspec.structs.replace(CheckResult(0, 0, 0), **faults), figures(SAMPLES), 0, SAMPLES)


def test_figures_are_differences_over_the_whole_drain() -> None:
    """CPU time and calls from before the first message are not counted."""
    found = figures(SAMPLES)
    assert found.messages_per_second == 250
    assert found.cpu_microseconds_per_message == pytest.approx({"consumer": 40, "queue": 80, "database": 120})
    assert found.database_cpu_share == pytest.approx(0.03)
    assert (found.messages_per_receive, found.rows_per_batch) == (5, 120)
    assert found.requests_per_message == pytest.approx(0.32)
    assert (found.max_resident_mib, found.max_receive_age_seconds) == (14, 4)


def test_a_report_survives_its_files(tmp_path: Path) -> None:
    """The samples stay in a folder of their own; the summary holds everything else."""
    written = report("flood", "How fast?", [run()])
    assert read_report(write_report(written, tmp_path)) == summary(written)
    assert read_report(tmp_path / SAMPLES_FOLDER / "flood.json") == written
    assert summary(written).runs[0].samples == ()
    assert written.machine.cores > 0


def test_the_page_is_well_formed(tmp_path: Path) -> None:
    """The page parses as XML; competitors have bars, pictures beside it are shown, and a fault is shown."""
    for name in ("competitors", "flood"):
        write_report(report(name, "Which < that?", [run(), run("other", lost=1)]), tmp_path)
    write_picture(report("flood", "", [run()]), tmp_path)
    text = write_page(tmp_path).read_text("utf-8")
    tree = ET.fromstring(text.removeprefix("<!doctype html>\n"))
    drawn = [element.get("class") for element in tree.iter() if element.get("class")]
    assert drawn.count("bar") == 6
    assert [image.get("src") for image in tree.iter("img")] == ["flood.svg"]
    assert [link.get("href") for link in tree.iter("a")] == ["#flood", "#competitors"]
    assert "WRONG" in text
    assert "Which &lt; that?" in page([read_report(tmp_path / "competitors.json")])


def test_a_bar_that_dwarfs_the_others_is_cut() -> None:
    """The others keep lengths that can be told apart; without an outlier nothing is cut."""
    assert lengths(bar_chart("", [("a", 20.0), ("b", 80.0), ("c", 2_000.0)])) == [20, 80, 100]
    assert lengths(bar_chart("", [("a", 20.0), ("b", 80.0)])) == [25, 100]


def lengths(chart: str) -> list[int]:
    """The lengths of the bars, in percent of the longest; a cut bar counts as 125 % of the next."""
    widths = [float(bar.attrib["width"]) for bar in ET.fromstring(chart).iter() if bar.get("class") == "bar"]
    return [round(100 * width / max(widths)) for width in widths]


def test_control_figures_are_compared_in_one_table() -> None:
    """A row for each run with the same figures, and none for a run without."""

    def controlled(name: str, **control: float | None) -> Run:
        return msgspec.structs.replace(run(name), figures=msgspec.structs.replace(figures(SAMPLES), control=control))

    runs = [
        controlled("governor", mean_cpu_percent=57.6),
        controlled("fixed", mean_cpu_percent=None),
        run("bulk insert"),
    ]
    text = page([report("governor-laws", "", runs)])
    rows = "<tr><td>governor</td><td>57.6</td></tr>\n<tr><td>fixed</td><td>never</td></tr>"
    assert f"<table>\n<tr><th></th><th>mean CPU percent</th></tr>\n{rows}\n</table>" in text
    assert "<li>mean CPU percent: database CPU, mean of the run</li>" in text


def test_many_control_figures_become_rows() -> None:
    """A wide table would make the page scroll sideways."""
    control = {f"figure_{number}": float(number) for number in range(9)}
    measured = msgspec.structs.replace(figures(SAMPLES), control=control)
    text = page([report("governor", "", [msgspec.structs.replace(run("governor"), figures=measured)])])
    assert "<tr><th></th><th>governor</th><th></th></tr>" in text
    assert "<tr><td>figure 8</td><td>8</td>" in text


def test_a_picture_stands_alone(tmp_path: Path) -> None:
    """It has all panels, its marks, its own colors and a background; comparisons have no such picture."""
    marked = msgspec.structs.replace(run(), marks=(Mark(1.0, "more"), Mark(2.0, "less")))
    for name in ("burst", "competitors", "governor-laws"):
        write_picture(report(name, f"How <{name}>?", [marked]), tmp_path)
    assert [path.name for path in tmp_path.glob("*.svg")] == ["burst.svg"]
    drawn = ET.fromstring((tmp_path / "burst.svg").read_text("utf-8"))
    kinds = ("line", "mark", "moment", "ground", "head", "caption")
    by_class = {kind: drawn.findall(f".//*[@class='{kind}']") for kind in kinds}
    counts = {kind: len(found) for kind, found in by_class.items()}
    assert counts == {"line": len(panels(SAMPLES)), "mark": 2, "moment": 2, "ground": 1, "head": 1, "caption": 2}
    assert [each.text for each in by_class["moment"]] == ["more", "less"]
    assert by_class["head"][0].text == "How <burst>?"
    style = drawn.findtext("{*}style") or ""
    assert "currentColor" not in style
    assert all(f".{kind} " in style for kind in ("line", "ground", "grid", "title", "name", "tick", "mark"))
    _, _, width, height = map(float, drawn.attrib["viewBox"].split())
    ground = by_class["ground"][0].attrib
    assert (float(ground["width"]), float(ground["height"])) == (width - 1, height - 1)


def test_a_second_without_a_receive_has_no_age() -> None:
    """A zero would be drawn as a message that is received at once."""
    idle = [msgspec.structs.replace(each, cpu_ceiling_percent=60.0) for each in SAMPLES]
    (age,) = [each for each in panels(idle) if each.title.startswith("age")]
    assert age.points == [(second, second) for second in (1.0, 2.0, 3.0, 4.0)]


@pytest.mark.parametrize(("value", "end"), [(0, 1), (0.7, 1), (1, 1), (1.1, 2), (230, 500), (5_001, 10_000)])
def test_an_axis_ends_at_a_round_number(value: float, end: float) -> None:
    """An axis ends with 1, 2 or 5 times a power of ten, never below its highest value."""
    assert ceiling(value) == pytest.approx(end)


@pytest.mark.parametrize(("lost", "is_flawless"), [(0, True), (1, False)])
def test_a_wrong_row_fails_the_run(
    lost: int, is_flawless: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One lost message in one of several scenarios fails the run; every report is written nevertheless."""

    def measured(name: str, screen: Screen, folder: Path) -> Report:
        return report(name, "", [run(lost=lost if name == "first" else 0)])

    monkeypatch.setattr(bench, "measure", measured)
    assert bench.run(["first", "second"], tmp_path, Screen(io.StringIO())) is is_flawless
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        SAMPLES_FOLDER,
        "first.json",
        "first.svg",
        "index.html",
        "second.json",
        "second.svg",
        "targets.json",
    ]


@pytest.mark.parametrize("error", [ProcessError, LocalPostgresError])
def test_a_scenario_that_fails_fails_alone(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are measured; terminal, file and exit code report the failure, and its old summary is gone."""

    def measured(name: str, screen: Screen, folder: Path) -> Report:
        if name == "second":
            raise error("the SQS emulator died\nthe end of its log")
        return report(name, "", [run()])

    write_report(report("second", "", [run()]), tmp_path)
    monkeypatch.setattr(bench, "measure", measured)
    terminal = io.StringIO()
    assert bench.run(["first", "second", "third"], tmp_path, Screen(terminal)) is False
    assert sorted(path.stem for path in tmp_path.glob("*.json")) == ["first", "targets", "third"]
    scorecard = read_scorecard(tmp_path)
    assert scorecard is not None
    assert scorecard.failures == {"second": "the SQS emulator died"}
    assert terminal.getvalue().count("second FAILED: the SQS emulator died") == 2
    assert terminal.getvalue().count("the end of its log") == 1
    assert "2 of 3 measured" in terminal.getvalue()


def test_the_committed_results_make_a_page(tmp_path: Path) -> None:
    """The committed summaries can be read, and the committed page is what they give."""
    for path in [*bench.RESULTS.glob("*.json"), *bench.RESULTS.glob("*.svg")]:
        shutil.copy(path, tmp_path)
    written = write_page(tmp_path).read_text("utf-8")
    assert "<h2>flood</h2>" in written
    assert written == (bench.RESULTS / PAGE_NAME).read_text("utf-8")


def test_committed_results_hold_no_samples() -> None:
    """Samples stay in an ignored folder; every control figure that the page explains is among the results."""
    found = [read_report(path) for path in bench.RESULTS.glob("*.json") if path.name != SCORECARD_NAME]
    assert len(found) > 10
    assert {run.samples for each in found for run in each.runs} == {()}
    assert CONTROL_MEANINGS.keys() <= {name for each in found for run in each.runs for name in run.figures.control}


def test_an_earlier_name_of_a_scenario_still_works() -> None:
    """Each alias leads to a scenario that there is."""
    assert set(bench.ALIASES.values()) <= set(bench.MEASURED)
    assert not bench.ALIASES.keys() & bench.MEASURED.keys()
