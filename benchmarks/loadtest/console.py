"""A report as a person in front of a terminal reads it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from benchmarks.charts import number_text
from benchmarks.loadtest.result import Figures, Outcome, Report, Run, Standing
from testkit.terminal import Screen, duration


def print_report(screen: Screen, found: Report) -> None:
    """Each run of the report, and the word that follows from it."""
    for run in found.runs:
        screen.say(f"\n  {screen.styled(run.name, 'bold')}{' – ' if run.remark else ''}{run.remark}")
        control = ((name, text, "") for name, text in control_texts(run.figures.control))
        screen.table([*_pace(run.figures), *_costs(run.figures), *_lateness(run.figures), *control])
        screen.say(f"  {_word(screen, run)}")
    if len(found.runs) > 1:
        screen.say("\n  processor time of a run, against the first one")
        screen.table(_ratios(found))
    screen.say()


def print_standing(screen: Screen, standing: Standing) -> None:
    """The targets, what was measured of them, and what could not be."""
    screen.say(
        f"  {screen.styled('targets', 'bold')}, by the figures of this run, and of earlier ones where a date is named"
    )
    screen.table((outcome.name, measured_text(outcome), _against(outcome)) for outcome in standing.outcomes)
    for name, reason in standing.failures.items():
        screen.say(f"  {screen.styled(f'{name} FAILED', 'bold', 'red')}: {reason}")
    screen.say()


def measured_text(outcome: Outcome) -> str:
    """The figure, if there is one, with enough digits to tell it from its bound."""
    if outcome.measured is None:
        return "–"
    if math.isinf(outcome.measured):
        return "never"
    return f"{outcome.measured:.3f}" if outcome.measured < 10 else number_text(outcome.measured)


def control_texts(control: Mapping[str, float | None]) -> Iterator[tuple[str, str]]:
    """How a ceiling was held, name by name; the names carry their units."""
    for name, value in control.items():
        yield name.replace("_", " "), "never" if value is None else number_text(value)


def _against(outcome: Outcome) -> str:
    earlier = f", on {outcome.taken_at:%Y-%m-%d}" if outcome.taken_at else ""
    return f"{outcome.verdict}{earlier}: {outcome.target} {outcome.unit}"


def _pace(figures: Figures) -> Iterator[tuple[str, str, str]]:
    yield "messages", f"{figures.messages:,}", f"in {figures.seconds:.1f} s"
    yield "throughput", f"{figures.messages_per_second:,.0f}", "messages per second"
    if figures.rows_per_batch is not None:
        yield "batch", f"{figures.rows_per_batch:,.0f}", "rows on average"
    if figures.messages_per_receive is not None:
        yield "receive", f"{figures.messages_per_receive:.1f}", "messages a call"
    if figures.requests_per_message is not None:
        yield "requests", f"{figures.requests_per_message:.3f}", "a message: receives, deletes and hidings"


def _costs(figures: Figures) -> Iterator[tuple[str, str, str]]:
    for part, used in figures.cpu_microseconds_per_message.items():
        yield f"CPU {part}", f"{used:.1f}", "µs a message"
    yield "database", f"{figures.database_cpu_share:.0%}", "of one core on average"
    yield "memory", f"{figures.resident_mib_at_most:.0f}", "MiB of the consumer at most"


def _lateness(figures: Figures) -> Iterator[tuple[str, str, str]]:
    if figures.latency is not None:
        late = figures.latency
        yield "send to commit", duration(late.p50), f"p50; p99 {duration(late.p99)}, longest {duration(late.longest)}"
    if figures.lag_seconds_at_most is not None:
        yield "lag", duration(figures.lag_seconds_at_most), "at most: age at the first receive"


def _ratios(found: Report) -> Iterator[tuple[str, str, str]]:
    first = found.runs[0].figures.cpu_microseconds_per_message
    for run in found.runs:
        used = run.figures.cpu_microseconds_per_message
        database = used["database"] / first["database"] if first["database"] else 0
        consumer = used["consumer"] / first["consumer"] if first["consumer"] else 0
        yield run.name, f"× {database:.2f}", f"of the database; × {consumer:.2f} of the consumer"


def _word(screen: Screen, run: Run) -> str:
    if run.is_flawless:
        return screen.styled("nothing lost, nothing wrong", "bold", "green")
    return screen.styled(f"NOT FLAWLESS: {run.check_result}, exit code {run.exit_code}", "bold", "red")
