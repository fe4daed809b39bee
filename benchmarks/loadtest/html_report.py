"""The page of all results in a folder: per scenario one time axis, and bars where somebody is compared.

    python -m benchmarks.loadtest.html_report benchmarks/results

One file without scripts, fonts or addresses: it can be mailed, and opened in ten years.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

from benchmarks.charts import Panel, Point, bar_chart, number_text, picture, time_chart
from benchmarks.loadtest.console import control_texts, measured_text
from benchmarks.loadtest.result import Report, Run, Standing, read_reports, read_standing
from benchmarks.loadtest.samples import Sample

PAGE_NAME: Final = "index.html"
PICTURED: Final = frozenset({"burst", "governor", "governor-delayed"})
"""The scenarios in which the line can be seen to react."""
_SMOOTHED_SAMPLES = 4
"""A second of them: processor time is counted in ticks of 10 ms."""
_SHORTEST_SECONDS = 0.2
"""Two samples closer than this say nothing about a rate: one tick of the clock would be a hundred cores."""
_STYLE: Final = """
:root { color-scheme: light dark; --line: #1668a8; --soft: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 3rem; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { padding: .2rem 1rem .2rem 0; text-align: right; }
td:first-child, th:first-child { text-align: left; }
.good { color: #2a8a3e; } .bad { color: #c33; font-weight: bold; }
svg { width: 100%; height: auto; margin: 1rem 0; } svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
svg .title { font-weight: 600; } svg .name { text-anchor: end; } svg .tick { text-anchor: middle; }
.grid { stroke: var(--soft); } .line { fill: none; stroke: var(--line); stroke-width: 1.6; } .bar { fill: var(--line); }
.dashed { fill: none; stroke: #c33; stroke-width: 1.2; stroke-dasharray: 5 4; }
"""

_CLASSES: Final = {"met": "good", "short": "bad", "void": "bad"}

Counted = Callable[[Sample], float]


def write_page(folder: Path) -> Path:
    """Draws every report of the folder, and of those in PICTURED a picture each for other pages.

    Raises:
        msgspec.DecodeError: a file of the folder is no report.
    """
    path, found = folder / PAGE_NAME, read_reports(folder)
    path.write_text(page(found, read_standing(folder)), "utf-8")
    for each in found:
        if each.scenario in PICTURED:
            drawn = picture(each.question, panels(each.runs[0].samples), facts(each))
            (folder / f"{each.scenario}.svg").write_text(drawn, "utf-8")
    return path


def page(found: Sequence[Report], standing: Standing | None = None) -> str:
    """The whole page."""
    sections = "\n".join([*([] if standing is None else [targets(standing)]), *map(section, found)])
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        '<meta name="viewport" content="width=device-width"/>\n'
        f"<title>Load test</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>Load test</h1>\n"
        "<p>Figures of one section were taken in one run and may be compared; those of two sections hardly.</p>\n"
        f"{sections}\n</body>\n</html>\n"
    )


def targets(standing: Standing) -> str:
    """The targets as the last run met them, and what it could not measure."""
    rows = "\n".join(
        f"<tr><td>{escape(each.name)}</td><td>{measured_text(each)}</td><td>{escape(f'{each.target} {each.unit}')}</td>"
        f'<td class="{_CLASSES.get(each.verdict, "")}">{each.verdict}</td>'
        f"<td><small>{f'{each.taken_at:%Y-%m-%d}' if each.taken_at else ''}</small></td></tr>"
        for each in standing.outcomes
    )
    failures = "\n".join(
        f'<p class="bad">{escape(name)} failed: {escape(reason)}</p>' for name, reason in standing.failures.items()
    )
    heads = "".join(f"<th>{head}</th>" for head in ("", "measured", "target", "verdict", ""))
    when = f"{standing.taken_at:%Y-%m-%d %H:%M} UTC"
    ended = f"<p><small>by the run that ended at {when}, and by earlier ones where a date is named</small></p>"
    table = f"<table>\n<tr>{heads}</tr>\n{rows}\n</table>"
    return f"<section>\n<h2>Targets</h2>\n{ended}\n{failures}\n{table}\n</section>"


def section(found: Report) -> str:
    """One scenario."""
    parts = [
        f"<h2>{escape(found.scenario)}</h2>",
        f"<p>{escape(found.question)}</p>",
        f"<p><small>{escape(facts(found))}</small></p>",
        _table(found.runs),
        *_control_tables(found.runs),
    ]
    if len(found.runs) > 1:
        parts += _bars(found.runs)
    parts.append(time_chart(panels(found.runs[0].samples)))
    inside = "\n".join(parts)
    return f"<section>\n{inside}\n</section>"


def panels(samples: Sequence[Sample]) -> list[Panel]:
    """What there is to see of a drain, over one axis."""
    if any(each.cpu_ceiling_percent is not None for each in samples):
        return _governed_panels(samples)
    return [
        _offer(samples),
        Panel("lag, seconds", [(each.seconds, each.lag_seconds) for each in samples]),
        Panel("processor of the database, cores", rates(samples, lambda each: each.cpu_seconds["database"])),
        Panel("processor of the consumer, cores", rates(samples, lambda each: each.cpu_seconds["consumer"])),
        Panel("concurrent writes", [(each.seconds, each.concurrency) for each in samples]),
        Panel("rows in a batch", _batch_rows(samples)),
    ]


def _governed_panels(samples: Sequence[Sample]) -> list[Panel]:
    """Where a governor is at work: what it sees, what it does, and what comes of it."""
    ceilings = [(each.seconds, each.cpu_ceiling_percent) for each in samples if each.cpu_ceiling_percent is not None]
    busy = [(at, 100 * cores) for at, cores in rates(samples, lambda each: each.cpu_seconds["database"])]
    return [
        _offer(samples),
        Panel("processor of the database, percent of a core, and its ceiling", busy, ceilings),
        Panel("limit: concurrent writes allowed", [(each.seconds, each.concurrency_limit) for each in samples]),
        Panel("rows stored a second", rates(samples, lambda each: each.rows)),
        Panel("lag, seconds", [(each.seconds, each.lag_seconds) for each in samples]),
        Panel("processor of the consumer, cores", rates(samples, lambda each: each.cpu_seconds["consumer"])),
        Panel("rows in a batch", _batch_rows(samples)),
    ]


def _offer(samples: Sequence[Sample]) -> Panel:
    """What the line is faced with: a rate; or, where everything was there from the start, what is left of it."""
    if any(each.offered == samples[-1].offered for each in samples[:2]):
        return Panel("waiting or in flight, messages", [(each.seconds, each.unfinished) for each in samples])
    return Panel("offered, messages a second", rates(samples, lambda each: each.offered))


def rates(samples: Sequence[Sample], counted: Counted) -> list[Point]:
    """How fast something grows, over a second of samples each."""
    return [
        (now.seconds, (counted(now) - counted(earlier)) / (now.seconds - earlier.seconds))
        for earlier, now in _pairs(samples)
    ]


def _batch_rows(samples: Sequence[Sample]) -> list[Point]:
    return [
        (now.seconds, (now.batched_rows - earlier.batched_rows) / (now.batches - earlier.batches))
        for earlier, now in _pairs(samples)
        if now.batches > earlier.batches
    ]


def _pairs(samples: Sequence[Sample]) -> Iterator[tuple[Sample, Sample]]:
    for number, now in enumerate(samples):
        earlier = samples[max(0, number - _SMOOTHED_SAMPLES)]
        if now.seconds - earlier.seconds >= _SHORTEST_SECONDS:
            yield earlier, now


def facts(found: Report) -> str:
    """When and where the figures were taken."""
    machine = found.machine
    return (
        f"{found.taken_at:%Y-%m-%d %H:%M} UTC, {machine.processor}, {machine.cores} cores, {machine.memory_gib:g} GiB, "
        f"{machine.system}, Python {machine.python}, PostgreSQL {machine.postgresql}, commit {machine.commit}, "
        f"load average {machine.load_after:g}"
    )


def _table(runs: Sequence[Run]) -> str:
    heads = ("", "messages/s", "µs consumer", "µs queue", "µs database", "MiB", "p50 / p99", "verdict")
    rows = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in _cells(run))}</tr>" for run in runs)
    return f"<table>\n<tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>\n{rows}\n</table>"


def _control_tables(runs: Sequence[Run]) -> Iterator[str]:
    """How a ceiling was held: a row for each run that held one, and a table for each kind of figures."""
    kinds = dict.fromkeys(tuple(run.figures.control) for run in runs if run.figures.control)
    for kind in kinds:
        held = [
            (run.name, dict(control_texts(run.figures.control))) for run in runs if tuple(run.figures.control) == kind
        ]
        heads = ("", *held[0][1])
        rows = "\n".join(
            f"<tr><td>{escape(name)}</td>{''.join(f'<td>{text}</td>' for text in texts.values())}</tr>"
            for name, texts in held
        )
        yield f"<table>\n<tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>\n{rows}\n</table>"


def _cells(run: Run) -> Iterator[str]:
    figures = run.figures
    yield escape(f"{run.name} – {run.remark}" if run.remark else run.name)
    yield number_text(figures.messages_per_second)
    for part in ("consumer", "queue", "database"):
        yield number_text(figures.cpu_microseconds_per_message[part])
    yield number_text(figures.resident_mib_at_most)
    yield f"{figures.latency.p50 * 1000:,.0f} / {figures.latency.p99 * 1000:,.0f} ms" if figures.latency else "–"
    yield '<span class="good">flawless</span>' if run.is_flawless else '<span class="bad">NOT FLAWLESS</span>'


def _bars(runs: Sequence[Run]) -> Iterator[str]:
    for part in ("database", "consumer"):
        bars = [(run.name, run.figures.cpu_microseconds_per_message[part]) for run in runs]
        yield bar_chart(f"processor time of the {part}, µs a message: less is better", bars)
    yield bar_chart("messages a second: more is better", [(run.name, run.figures.messages_per_second) for run in runs])


def main() -> None:
    """Writes the page of a folder and says where it is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loadtest.html_report", description=__doc__)
    parser.add_argument("folder", type=Path)
    print(write_page(parser.parse_args().folder))


if __name__ == "__main__":
    main()
