"""A report as text for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from benchmarks.charts import number_text
from benchmarks.loadtest.result import Figures, Report, Run, Scorecard, TargetResult
from testkit.terminal import Screen, duration


def print_report(screen: Screen, found: Report) -> None:
    """The figures of each run, whether its rows are right, and the costs of all runs relative to the first."""
    for run in found.runs:
        screen.say(f"\n  {screen.styled(run.name, 'bold')}{' – ' if run.remark else ''}{run.remark}")
        control = ((name, text, "") for name, text in control_texts(run.figures.control))
        screen.table([*_throughput(run.figures), *_costs(run.figures), *_latency(run.figures), *control])
        screen.say(f"  {_correctness(screen, run)}")
    if len(found.runs) > 1:
        screen.say("\n  CPU time relative to the first run")
        screen.table(_ratios(found))
    screen.say()


def print_scorecard(screen: Screen, scorecard: Scorecard) -> None:
    """The targets, what was measured, and the scenarios that failed."""
    screen.say(
        f"  {screen.styled('targets', 'bold')}, measured by this run, or by an earlier one where a date is given"
    )
    screen.table((result.name, measured_text(result), _against(result)) for result in scorecard.targets)
    for name, reason in scorecard.failures.items():
        screen.say(f"  {screen.styled(f'{name} FAILED', 'bold', 'red')}: {reason}")
    screen.say()


def measured_text(result: TargetResult) -> str:
    """The figure, if there is one, with enough digits to compare it with its bound."""
    if result.measured is None:
        return "–"
    if math.isinf(result.measured):
        return "never"
    return f"{result.measured:.3f}" if result.measured < 10 else number_text(result.measured)


def control_texts(control: Mapping[str, float | None]) -> Iterator[tuple[str, str]]:
    """The figures of the control loop, name by name; the names carry their units."""
    for name, value in control.items():
        yield name.replace("_", " ").replace("cpu", "CPU"), "never" if value is None else number_text(value)


def _against(result: TargetResult) -> str:
    earlier = f", on {result.measured_at:%Y-%m-%d}" if result.measured_at else ""
    return f"{result.status}{earlier}: {result.bound} {result.unit}"


def _throughput(figures: Figures) -> Iterator[tuple[str, str, str]]:
    yield "messages", f"{figures.messages:,}", f"in {figures.seconds:.1f} s"
    yield "throughput", f"{figures.messages_per_second:,.0f}", "messages a second"
    if figures.rows_per_batch is not None:
        yield "batch", f"{figures.rows_per_batch:,.0f}", "rows on average"
    if figures.messages_per_receive is not None:
        yield "receive", f"{figures.messages_per_receive:.1f}", "messages per call"
    if figures.requests_per_message is not None:
        yield "requests", f"{figures.requests_per_message:.3f}", "per message: receive, delete and visibility calls"


def _costs(figures: Figures) -> Iterator[tuple[str, str, str]]:
    for part, used in figures.cpu_microseconds_per_message.items():
        yield f"CPU {part}", f"{used:.1f}", "µs per message"
    yield "database", f"{figures.database_cpu_share:.0%}", "of one core on average"
    yield "memory", f"{figures.max_resident_mib:.0f}", "MiB resident at most, consumer"


def _latency(figures: Figures) -> Iterator[tuple[str, str, str]]:
    if figures.latency is not None:
        late = figures.latency
        yield "send to commit", duration(late.p50), f"p50; p99 {duration(late.p99)}, max {duration(late.longest)}"
    if figures.max_receive_age_seconds is not None:
        yield "receive age", duration(figures.max_receive_age_seconds), "at most, from send to first receive"


def _ratios(found: Report) -> Iterator[tuple[str, str, str]]:
    first = found.runs[0].figures.cpu_microseconds_per_message
    for run in found.runs:
        used = run.figures.cpu_microseconds_per_message
        database = used["database"] / first["database"] if first["database"] else 0
        consumer = used["consumer"] / first["consumer"] if first["consumer"] else 0
        yield run.name, f"× {database:.2f}", f"database; × {consumer:.2f} consumer"


def _correctness(screen: Screen, run: Run) -> str:
    if run.is_flawless:
        return screen.styled("all rows correct, nothing lost", "bold", "green")
    return screen.styled(f"FAULTS FOUND: {run.check_result}, exit code {run.exit_code}", "bold", "red")
