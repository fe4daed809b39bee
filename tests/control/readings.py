"""Readings of a busy pipeline, for tests of the governor with a sensor."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from subscriber.control.governor.decide import Decision, GovernorOptions, GovernorState, decide
from subscriber.control.reading import Reading
from subscriber.signals import LoadReading

OPTIONS = GovernorOptions(limit_at_least=0.05, limit_at_most=8, slow_statement_seconds=10, has_load_signal=True)

SENSOR_DELAY_SECONDS = 1.5


def busy(second: float, limit: float, cpu_percent: float | None, **changes: object) -> Reading:
    """A second in which the pipeline used its whole limit and batches waited; the sensor is 1.5 s late."""
    load = None
    if cpu_percent is not None:
        load = LoadReading(cpu_percent, taken_at=second - SENSOR_DELAY_SECONDS, window_seconds=1.0)
    fields: dict[str, object] = {
        "taken_at": second,
        "rows_per_second": 10_000 * limit,
        "statement_seconds": 0.1,
        "failures": 0,
        "concurrency_used": limit,
        "limit_reached": True,
        "load": load,
        "load_age_seconds": SENSOR_DELAY_SECONDS,
        "rows_per_statement": 1000.0,
    }
    return Reading(**{**fields, **changes})  # type: ignore[arg-type] # the fields of Reading, some of them changed


def run(
    state: GovernorState,
    seconds: Iterable[float],
    reading: Callable[[float, float], Reading],
    options: GovernorOptions = OPTIONS,
) -> tuple[GovernorState, list[Decision]]:
    """Decide once a second; `reading` makes a reading from the second and the limit in force."""
    decisions = []
    for second in seconds:
        state, decision = decide(options, state, reading(second, state.limit))
        decisions.append(decision)
    return state, decisions


def settled(limit: float, cpu_percent: float = 58.0, seconds: int = 20) -> GovernorState:
    """The state of a governor that has kept this limit for a while, with the CPU at its target."""
    begun = GovernorState(limit=limit, load_taken_at=-100.0)
    state, decisions = run(begun, range(seconds), lambda at, now: busy(at, now, cpu_percent))
    assert {each.limit for each in decisions} == {limit}
    return state
