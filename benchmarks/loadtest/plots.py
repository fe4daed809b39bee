"""The picture of a scenario: curves of its first run over one axis of seconds, drawn when the samples are taken.

Samples are not committed; the pictures are, and the page and the documents show them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.charts import Panel, Point, picture
from benchmarks.loadtest.competitors import COMPETITORS_SCENARIO
from benchmarks.loadtest.result import Report, Run
from benchmarks.loadtest.samples import Sample
from testkit.terminal import duration

WITHOUT_PICTURE: Final = frozenset({COMPETITORS_SCENARIO, "governor-laws"})
"""Bars compare the competitors; the comparison of controllers draws a picture of its own."""
_SMOOTHED_SAMPLES = 4
"""One second of samples: CPU time is counted in ticks of 10 ms."""
_SHORTEST_SECONDS = 0.2
"""Two samples closer than this give no rate: one tick of the clock would be a hundred cores."""

Counted = Callable[[Sample], float]


def write_picture(found: Report, folder: Path) -> Path | None:
    """Draws the report's first run into the folder; None if the scenario has no such picture.

    Raises:
        OSError: the folder cannot be written.
    """
    if found.scenario in WITHOUT_PICTURE:
        return None
    first = found.runs[0]
    captions = [*_latency_caption(first), *facts(found)]
    marks = [(mark.at_seconds, mark.text) for mark in first.marks]
    path = folder / f"{found.scenario}.svg"
    path.write_text(picture(found.question, panels(first.samples), captions, marks), "utf-8")
    return path


def facts(found: Report) -> list[str]:
    """When and where the figures were measured, in two lines."""
    machine = found.machine
    where = f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib:g} GiB, {machine.system}"
    versions = f"Python {machine.python}, PostgreSQL {machine.postgresql}, commit {machine.commit}"
    return [
        f"{found.measured_at:%Y-%m-%d %H:%M} UTC, {where}",
        f"{versions}, load average {machine.load_after:g}",
    ]


def panels(samples: Sequence[Sample]) -> list[Panel]:
    """The quantities of a drain worth seeing, over one axis."""
    if any(each.cpu_ceiling_percent is not None for each in samples):
        return _governed_panels(samples)
    if _is_backlog(samples):
        return [_queued(samples), _rows(samples), *_cpu(samples), _concurrency(samples), _batch_rows(samples)]
    offered = rates(samples, lambda each: each.offered)
    stored = rates(samples, lambda each: each.rows)
    return [
        Panel("rows stored a second (dashed: messages sent a second)", stored, offered),
        _queued(samples),
        _receive_age(samples),
        *_cpu(samples),
        _batch_rows(samples),
    ]


def _governed_panels(samples: Sequence[Sample]) -> list[Panel]:
    """What the governor sees, what it does, and the effect."""
    ceilings = [(each.seconds, each.cpu_ceiling_percent) for each in samples if each.cpu_ceiling_percent is not None]
    busy = [(at, 100 * cores) for at, cores in rates(samples, lambda each: each.cpu_seconds["database"])]
    return [
        _queued(samples),
        Panel("database CPU, percent of a core (dashed: the governor's ceiling)", busy, ceilings),
        Panel("concurrency limit", [(each.seconds, each.concurrency_limit) for each in samples]),
        _rows(samples),
        _receive_age(samples),
        Panel("consumer CPU, cores", rates(samples, lambda each: each.cpu_seconds["consumer"])),
        _batch_rows(samples),
    ]


def rates(samples: Sequence[Sample], counted: Counted) -> list[Point]:
    """The growth of a counter per second, over windows of one second."""
    return [
        (now.seconds, (counted(now) - counted(earlier)) / (now.seconds - earlier.seconds))
        for earlier, now in _windows(samples)
    ]


def _is_backlog(samples: Sequence[Sample]) -> bool:
    """All messages were there from the start."""
    return any(each.offered == samples[-1].offered for each in samples[:2])


def _queued(samples: Sequence[Sample]) -> Panel:
    return Panel("messages waiting or in flight", [(each.seconds, each.unfinished) for each in samples])


def _rows(samples: Sequence[Sample]) -> Panel:
    return Panel("rows stored a second", rates(samples, lambda each: each.rows))


def _receive_age(samples: Sequence[Sample]) -> Panel:
    """The metric is 0 in a second without a receive: that is no age, and no point."""
    title = "age of the newest message when received, seconds (batching and write come on top)"
    return Panel(title, [(each.seconds, each.receive_age_seconds) for each in samples if each.receive_age_seconds])


def _cpu(samples: Sequence[Sample]) -> list[Panel]:
    return [
        Panel("database CPU, cores", rates(samples, lambda each: each.cpu_seconds["database"])),
        Panel("consumer CPU, cores", rates(samples, lambda each: each.cpu_seconds["consumer"])),
    ]


def _concurrency(samples: Sequence[Sample]) -> Panel:
    """Means over a second: a write takes milliseconds, so single samples are 0 or 1 at random."""
    means = [
        (window[-1].seconds, sum(each.concurrency for each in window) / len(window))
        for window in (samples[max(0, end - _SMOOTHED_SAMPLES) : end] for end in range(1, len(samples) + 1))
    ]
    return Panel("concurrent writes, mean over a second", means)


def _batch_rows(samples: Sequence[Sample]) -> Panel:
    means = [
        (now.seconds, (now.batched_rows - earlier.batched_rows) / (now.batches - earlier.batches))
        for earlier, now in _windows(samples)
        if now.batches > earlier.batches
    ]
    return Panel("rows per batch", means)


def _windows(samples: Sequence[Sample]) -> Iterator[tuple[Sample, Sample]]:
    for number, now in enumerate(samples):
        earlier = samples[max(0, number - _SMOOTHED_SAMPLES)]
        if now.seconds - earlier.seconds >= _SHORTEST_SECONDS:
            yield earlier, now


def _latency_caption(run: Run) -> list[str]:
    """What no curve shows: how long it took until the rows were committed."""
    late = run.figures.latency
    if late is None:
        return []
    return [f"From send to commit: p50 {duration(late.p50)}, p99 {duration(late.p99)}, max {duration(late.longest)}."]
