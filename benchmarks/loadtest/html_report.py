"""The page of all results in a folder: targets, then a section per scenario with its figures, bars and picture.

    python -m benchmarks.loadtest.html_report benchmarks/results

It is made from the summaries and the scorecard alone; pictures are files beside it. It needs no script and no server.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

from benchmarks.charts import bar_chart, number_text
from benchmarks.loadtest.competitors import COMPETITORS_SCENARIO
from benchmarks.loadtest.console import control_texts, measured_text
from benchmarks.loadtest.plots import facts
from benchmarks.loadtest.result import Figures, Report, Run, Scorecard, read_reports, read_scorecard
from benchmarks.loadtest.targets import TARGETS

PAGE_NAME: Final = "index.html"
_ORDER: Final = ("flood", COMPETITORS_SCENARIO, "burst", "steady")
"""The scenarios most readers look for come first; those of the governor come last."""
_CONTROLLED: Final = ("governor", "governor-delayed", "governor-laws")
CONTROL_MEANINGS: Final = {
    "score": "mean of overload, lateness and movement, each divided by the best controller's; less is better",
    "overload": "points of database CPU above the operator's maximum of 85 %, summed over the seconds",
    "lateness": "messages waiting longer than the lag target, summed over the seconds",
    "movement": "how far the limit moved up and down: the sum of the changes of its logarithm",
    "mean_cpu_percent": "database CPU, mean of the run",
    "disturbed_percent": "CPU that other processes and the hypervisor took of the database's core",
    "settling_seconds": "until ten seconds in a row are within 7 points of the ceiling",
    "within_band_share": "share of the time within 7 points of the ceiling, on means of five seconds",
    "within_band_share_raw": "the same, on single seconds",
    "overshoot_points": "most that database CPU exceeds its ceiling before the neighbor comes",
    "peak_to_peak_points": "spread of database CPU once settled",
    "neighbor_back_under_seconds": "until database CPU is back at its ceiling after the neighbor has come",
    "neighbor_overshoot_points": "most that database CPU exceeds its ceiling while the neighbor is there",
    "share_regained_seconds": "until the rate from before is reached again after the neighbor has left",
    "way_up_share": "what the ramp-up from the smallest limit leaves of the rate of the first 90 s",
    "efficiency_to_fixed": "rows per point of CPU under the governor ÷ under the fixed limits",
    "rate_to_fixed": "the product of the two above",
    "everyday_cpu_to_allowed": "database CPU at 200 messages a second ÷ allowed",
    "everyday_cpu_allowed_percent": "1.2 times the bulk insert's cost of these rows, and 2 points",
}
_FIGURES_IN_A_ROW = 6
"""More columns than this are turned into rows, or the page would scroll sideways."""
_QUEUE_MICROSECONDS = 1.0
"""Below this the SQS emulator had no work, and a ratio to it means nothing."""
_STYLE: Final = """
:root { color-scheme: light dark; --line: #1668a8; --soft: #8884; --ground: canvas; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 3rem; } nav ul { columns: 14rem; padding-left: 1.2rem; }
.wide { overflow-x: auto; } small { opacity: .75; }
table { border-collapse: collapse; margin: 1rem 0; } tr { border-bottom: 1px solid var(--soft); }
td, th { padding: .25rem 1rem .25rem 0; text-align: right; vertical-align: top; } td { white-space: nowrap; }
td:first-child, th:first-child, td.text { text-align: left; white-space: normal; }
th:first-child { min-width: 7rem; } td.text { min-width: 16rem; }
.good { color: #2a8a3e; } .bad { color: #c33; font-weight: bold; }
svg, img { width: 100%; height: auto; margin: 1rem 0; }
svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
svg .title { font-weight: 600; } svg .name { text-anchor: end; } .bar { fill: var(--line); }
.cut { stroke: var(--ground); stroke-width: 3; }
"""

_CLASSES: Final = {"met": "good", "missed": "bad", "void": "bad"}


def write_page(folder: Path) -> Path:
    """Writes the page of a folder's summaries; it shows the pictures that lie beside them.

    Raises:
        msgspec.DecodeError: a file of the folder is no summary.
    """
    path = folder / PAGE_NAME
    pictures = {each.stem for each in folder.glob("*.svg")}
    path.write_text(page(read_reports(folder), read_scorecard(folder), pictures), "utf-8")
    return path


def page(found: Sequence[Report], scorecard: Scorecard | None = None, pictures: Collection[str] = ()) -> str:
    """The whole page; `pictures` are the scenarios that have an SVG file beside it."""
    ordered = sorted(found, key=lambda each: _position(each.scenario))
    sections = "\n".join(
        [
            *([] if scorecard is None else [targets(scorecard)]),
            *(section(each, has_picture=each.scenario in pictures) for each in ordered),
        ]
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        '<meta name="viewport" content="width=device-width"/>\n'
        f"<title>Load test</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>Load test</h1>\n"
        "<p>The figures of one section were measured one after the other on the same machine and may be compared. "
        "Times of two sections compare less well: the speed of a virtual machine varies by a third. "
        "CPU times are per message; <i>÷ queue</i> divides the consumer's by the SQS emulator's of the same run, "
        "a ratio from which the speed of the machine cancels out. "
        "<i>p50 / p99</i> is the time from sending a message to the commit of its row.</p>\n"
        f"{_contents(ordered, has_targets=scorecard is not None)}\n{sections}\n</body>\n</html>\n"
    )


def targets(scorecard: Scorecard) -> str:
    """The targets, what was measured, and the scenarios that failed."""
    meanings = {target.name: target.meaning for target in TARGETS}
    rows = "\n".join(
        f"<tr><td>{escape(each.name)}<br/><small>{escape(meanings.get(each.name, ''))}</small></td>"
        f"<td>{measured_text(each)}</td><td>{escape(f'{each.bound} {each.unit}')}</td>"
        f'<td class="{_CLASSES.get(each.status, "")}">{each.status}</td>'
        f"<td><small>{f'{each.measured_at:%Y-%m-%d}' if each.measured_at else ''}</small></td></tr>"
        for each in scorecard.targets
    )
    failures = "\n".join(
        f'<p class="bad">{escape(name)} failed: {escape(reason)}</p>' for name, reason in scorecard.failures.items()
    )
    when = f"{scorecard.measured_at:%Y-%m-%d %H:%M} UTC"
    ended = f"<p><small>Measured by the run that ended at {when}, or on the date in the last column.</small></p>"
    heads = _heads("", "measured", "target", "status", "")
    return f'<section id="targets">\n<h2>Targets</h2>\n{ended}\n{failures}\n{_wide(heads, rows)}\n</section>'


def section(found: Report, *, has_picture: bool = False) -> str:
    """One scenario."""
    parts = [
        f"<h2>{escape(found.scenario)}</h2>",
        f"<p>{escape(found.question)}</p>",
        f"<p><small>{escape(', '.join(facts(found)))}</small></p>",
        _table(found.runs),
        *_control_tables(found.runs),
        *_bars(found),
    ]
    if has_picture:
        alt = f"Curves of {found.scenario} over time"
        parts.append(f'<img src="{escape(found.scenario)}.svg" alt="{escape(alt)}" loading="lazy"/>')
    inside = "\n".join(parts)
    return f'<section id="{escape(found.scenario)}">\n{inside}\n</section>'


def _position(scenario: str) -> tuple[int, str]:
    if scenario in _ORDER:
        return _ORDER.index(scenario), ""
    if scenario in _CONTROLLED:
        return len(_ORDER) + 1 + _CONTROLLED.index(scenario), ""
    return len(_ORDER), scenario


def _contents(found: Sequence[Report], *, has_targets: bool) -> str:
    names = [*(["targets"] if has_targets else []), *(each.scenario for each in found)]
    items = "\n".join(f'<li><a href="#{escape(name)}">{escape(name)}</a></li>' for name in names)
    return f"<nav>\n<ul>\n{items}\n</ul>\n</nav>"


def _table(runs: Sequence[Run]) -> str:
    heads = _heads(
        "", "messages/s", "µs consumer", "µs queue", "÷ queue", "µs database", "peak MiB", "p50 / p99", "rows"
    )
    rows = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in _cells(run))}</tr>" for run in runs)
    remarks = "\n".join(f"<li>{escape(run.name)}: {escape(run.remark)}</li>" for run in runs if run.remark)
    return _wide(heads, rows) + (f"\n<ul>\n{remarks}\n</ul>" if remarks else "")


def _control_tables(runs: Sequence[Run]) -> Iterator[str]:
    """Figures of the control loop: one table for each set of figures, with a run per row or, if wide, per column."""
    kinds = dict.fromkeys(tuple(run.figures.control) for run in runs if run.figures.control)
    for kind in kinds:
        controlled = [(run.name, run.figures.control) for run in runs if tuple(run.figures.control) == kind]
        yield _wide_control(controlled) if len(kind) > _FIGURES_IN_A_ROW else _narrow_control(controlled)


def _narrow_control(controlled: Sequence[tuple[str, Mapping[str, float | None]]]) -> str:
    names = [name for name, _ in control_texts(controlled[0][1])]
    rows = "\n".join(
        f"<tr><td>{escape(run)}</td>{''.join(f'<td>{text}</td>' for _, text in control_texts(control))}</tr>"
        for run, control in controlled
    )
    meanings = [
        f"<li>{escape(name)}: {escape(CONTROL_MEANINGS[key])}</li>"
        for key, name in zip(controlled[0][1], names, strict=True)
        if key in CONTROL_MEANINGS
    ]
    listed = "\n<ul>\n{}\n</ul>".format("\n".join(meanings)) if meanings else ""
    return _wide(_heads("", *names), rows) + listed


def _wide_control(controlled: Sequence[tuple[str, Mapping[str, float | None]]]) -> str:
    texts = [dict(control_texts(control)) for _, control in controlled]
    rows = "\n".join(
        f"<tr><td>{escape(name)}</td>{''.join(f'<td>{each[name]}</td>' for each in texts)}"
        f'<td class="text"><small>{escape(CONTROL_MEANINGS.get(key, ""))}</small></td></tr>'
        for key, name in zip(controlled[0][1], texts[0], strict=True)
    )
    return _wide(_heads("", *(escape(run) for run, _ in controlled), ""), rows)


def _heads(*names: str) -> str:
    return f"<tr>{''.join(f'<th>{name}</th>' for name in names)}</tr>"


def _wide(heads: str, rows: str) -> str:
    """A table that scrolls inside its own box where the window is narrow."""
    return f'<div class="wide">\n<table>\n{heads}\n{rows}\n</table>\n</div>'


def _cells(run: Run) -> Iterator[str]:
    figures = run.figures
    yield escape(run.name)
    yield number_text(figures.messages_per_second)
    for part in ("consumer", "queue"):
        yield number_text(figures.cpu_microseconds_per_message[part])
    yield _to_queue(figures)
    yield number_text(figures.cpu_microseconds_per_message["database"])
    yield number_text(figures.max_resident_mib)
    yield f"{figures.latency.p50 * 1000:,.0f} / {figures.latency.p99 * 1000:,.0f} ms" if figures.latency else "–"
    yield '<span class="good">all correct</span>' if run.is_flawless else '<span class="bad">WRONG</span>'


def _to_queue(figures: Figures) -> str:
    queue = figures.cpu_microseconds_per_message["queue"]
    return f"{figures.cpu_microseconds_per_message['consumer'] / queue:.2f}" if queue >= _QUEUE_MICROSECONDS else "–"


def _bars(found: Report) -> Iterator[str]:
    """Competitors by cost and speed; controllers by their score and the database CPU they use."""
    runs = found.runs
    if found.scenario == COMPETITORS_SCENARIO:
        for part in ("database", "consumer"):
            bars = [(run.name, run.figures.cpu_microseconds_per_message[part]) for run in runs]
            yield bar_chart(f"CPU time of the {part}, µs per message: less is better", bars)
        bars = [(run.name, run.figures.messages_per_second) for run in runs]
        yield bar_chart("messages a second: more is better", bars)
    elif all("score" in run.figures.control for run in runs):
        for name, title in (("score", "score: less is better"), ("mean_cpu_percent", "mean database CPU, percent")):
            yield bar_chart(title, [(run.name, run.figures.control[name] or 0.0) for run in runs])


def main() -> None:
    """Writes the page of a folder and prints its path."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loadtest.html_report", description=__doc__)
    parser.add_argument("folder", type=Path)
    print(write_page(parser.parse_args().folder))


if __name__ == "__main__":
    main()
