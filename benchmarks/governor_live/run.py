"""The governor on a real database: a steady load, then a large backlog with a noisy neighbor and phases of fixed limit.

    0 s     two million messages are waiting; the daemon, idle so far, is at its smallest limit
    90 s    the noisy neighbor starts and uses half of the core
    130 s   the neighbor stops
    165 s   the limit is fixed at its mean of the last ten seconds
    180 s   the governor decides again
    210 s   the limit is fixed again, in the same way
    225 s   end

The cost of a row drifts by ten percent and more within minutes at any limit, because the table grows and other virtual
machines share the host. So the rate at a fixed limit is compared with the governor's rate in between, which has the
same drift.

Before that, each with a process of its own: 200 messages a second without a backlog, and the baseline, which inserts
the same rows in statements of a thousand and does nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

import msgspec

from benchmarks.governor_live import metrics, series
from benchmarks.governor_live.control_api import SETTINGS, ControlClient
from benchmarks.governor_live.cpu_pinning import describe
from benchmarks.governor_live.environment import DrainResult, LiveEnvironment, live_environment
from benchmarks.governor_live.noisy_neighbor import noisy_neighbor_of
from benchmarks.governor_live.row_cost import make_rows_expensive
from benchmarks.governor_live.series import Second
from benchmarks.governor_live.timeline import Action, run_timeline
from benchmarks.loadtest.compare import empty, measure_bulk_insert
from benchmarks.loadtest.result import Mark, Run
from benchmarks.loadtest.runner import ScenarioRun
from benchmarks.loadtest.samples import Meter, Sample, daemon_as_consumer
from benchmarks.loadtest.scenarios import Scenario
from testkit.environment import LocalEnvironment
from testkit.local_stack import running_daemon
from testkit.terminal import Screen
from testkit.workload.backlogs import BacklogLoad
from testkit.workload.load import Phase

GOVERNOR: Final = "governor"
QUESTION: Final = "Does the governor hold a one-core database at its CPU ceiling, and yield to a noisy neighbor?"
GOVERNED: Final = {"SUBSCRIBER_DATABASE_LOAD_SOURCE": "local", **SETTINGS}

MESSAGES: Final = 2_000_000
"""More than can be drained in the time."""
NEIGHBOR_SHARE: Final = 0.5
SETTLED: Final = 20.0
NEIGHBOR_STARTS: Final = 90.0
NEIGHBOR_STOPS: Final = 130.0
FIXED: Final = 165.0
RELEASED: Final = 180.0
FIXED_AGAIN: Final = 210.0
ENDS: Final = 225.0
_STEP_SECONDS = 5.0
"""Figures of a phase start so much after its begin, so that the limit of the phase before has no effect on them."""
_LIMIT_SECONDS = 10.0
"""The limit is fixed at its mean over this time."""
_EVERYDAY = Scenario(
    "everyday",
    "How much database CPU do 200 messages a second cost?",
    profile=(Phase(200, 30),),
    settings=GOVERNED,
)
_BASELINE_ROWS = 20_000
_ALLOWED_FACTOR = 1.2
_ALLOWED_POINTS = 2.0
"""The CPU that a steady load may use: its rows at the baseline's cost, plus a fifth, plus two percentage points."""


def measure_governor(screen: Screen) -> list[Run]:
    """Runs the backlog under the governor, the steady load, and the baseline that both are compared with.

    Raises:
        ProcessError: a part did not come up, or died.
        LocalPostgresError: PostgreSQL did not come up.
    """
    with live_environment() as environment:
        screen.say(f"  {describe(environment.cores)}")
        everyday = _everyday(environment.parts, screen)
        baseline = measure_bulk_insert(environment.parts, BacklogLoad("flood", _BASELINE_ROWS), screen)
        asyncio.run(empty(environment.parts.postgres.url))
        flood = _flood(environment, screen)
    control = {**flood.figures.control, **_everyday_figures(everyday, baseline, environment.database_cores)}
    whole = msgspec.structs.replace(flood.figures, control=control)
    return [msgspec.structs.replace(flood, figures=whole, remark=describe(environment.cores)), everyday, baseline]


def _everyday(parts: LocalEnvironment, screen: Screen) -> Run:
    screen.say(f"  {_EVERYDAY.name}: {_EVERYDAY.question}")
    queue_url = parts.make_queue("governor-everyday")
    with running_daemon(parts, queue_url, GOVERNED) as daemon:
        make_rows_expensive(parts.postgres.url)
        run = ScenarioRun(parts, queue_url, daemon, _EVERYDAY, screen).pace()
    return msgspec.structs.replace(run, name=_EVERYDAY.name, remark="200 messages a second, no backlog")


def _flood(environment: LiveEnvironment, screen: Screen) -> Run:
    parts, load = environment.parts, BacklogLoad("flood", MESSAGES)
    queue_url = parts.make_queue("governor-flood")
    with (
        noisy_neighbor_of(parts.postgres) as neighbor,
        running_daemon(parts, queue_url, GOVERNED) as daemon,
        ExitStack() as neighbor_stack,
    ):
        client = ControlClient(daemon)
        client.wait_for_sensor()
        actions = [
            Action(0, "flood", lambda _: load.attach(parts.client, queue_url)),
            Action(
                NEIGHBOR_STARTS, "neighbor", lambda _: neighbor_stack.enter_context(neighbor.active(NEIGHBOR_SHARE))
            ),
            Action(NEIGHBOR_STOPS, "neighbor gone", lambda _: neighbor_stack.close()),
            Action(FIXED, "fixed limit", lambda samples: client.fix(_mean_limit(samples))),
            Action(RELEASED, "governor", lambda _: client.release()),
            Action(FIXED_AGAIN, "fixed limit", lambda samples: client.fix(_mean_limit(samples))),
        ]
        meter = Meter(parts, queue_url, daemon_as_consumer(daemon))
        with environment.watched() as disturbance:
            samples = run_timeline(meter, MESSAGES, actions, ENDS, screen)
        exit_code = daemon.stop()
    control = {**control_figures(samples, environment.database_cores), "disturbed_percent": disturbance.percent}
    run = environment.checked_run(GOVERNOR, DrainResult(load, queue_url, samples, exit_code, control), GOVERNED)
    marks = tuple(Mark(action.at_seconds, action.name) for action in actions if action.at_seconds > 0)
    return msgspec.structs.replace(run, marks=marks)


def control_figures(samples: Sequence[Sample], cores: float) -> dict[str, float | None]:
    """The control figures of a backlog run. Pure."""
    raw = series.seconds_of(samples, cores)
    mean = series.smoothed(raw)
    alone = series.between(mean, 0, NEIGHBOR_STARTS)
    settled = series.between(mean, SETTLED, NEIGHBOR_STARTS)
    visited = series.between(mean, NEIGHBOR_STARTS, NEIGHBOR_STOPS)
    left = series.between(mean, NEIGHBOR_STOPS, FIXED)
    fixed = [
        *series.between(raw, FIXED + _STEP_SECONDS, RELEASED),
        *series.between(raw, FIXED_AGAIN + _STEP_SECONDS, ENDS),
    ]
    beside = series.between(raw, RELEASED + _STEP_SECONDS, FIXED_AGAIN)
    ramp_up = metrics.mean_rows(series.between(raw, 0, NEIGHBOR_STARTS)) / metrics.mean_rows(
        series.between(raw, SETTLED, NEIGHBOR_STARTS)
    )
    efficiency = _rows_per_point(beside) / _rows_per_point(fixed)
    return {
        "settling_seconds": metrics.settling_seconds(alone),
        "within_band_share": metrics.within_band_share(settled),
        "within_band_share_raw": metrics.within_band_share(series.between(raw, SETTLED, NEIGHBOR_STARTS)),
        "overshoot_points": metrics.overshoot_points(alone),
        "neighbor_back_under_seconds": metrics.back_under_seconds(visited),
        "neighbor_overshoot_points": metrics.overshoot_points(visited),
        "share_regained_seconds": metrics.regained_seconds(left, metrics.mean_rows(settled)),
        "settled_cpu_percent": metrics.mean_cpu(settled),
        "settled_rows_per_second": metrics.mean_rows(settled),
        "fixed_limit": metrics.mean_limit(fixed),
        "fixed_cpu_percent": metrics.mean_cpu(fixed),
        "fixed_rows_per_second": metrics.mean_rows(fixed),
        "way_up_share": ramp_up,
        "efficiency_to_fixed": efficiency,
        "rate_to_fixed": ramp_up * efficiency,
    }


def _rows_per_point(seconds: Sequence[Second]) -> float:
    """Rows per second and point of CPU, so that slightly different limits can be compared."""
    return metrics.mean_rows(seconds) / metrics.mean_cpu(seconds)


def _everyday_figures(everyday: Run, baseline: Run, cores: float) -> dict[str, float | None]:
    percent = 100 * everyday.figures.database_cpu_share / cores
    row = baseline.figures.cpu_microseconds_per_message["database"]
    at_baseline = 100 * everyday.figures.messages_per_second * row / 1e6 / cores
    return {
        "everyday_cpu_percent": percent,
        "everyday_cpu_allowed_percent": _ALLOWED_FACTOR * at_baseline + _ALLOWED_POINTS,
        "everyday_cpu_to_allowed": percent / (_ALLOWED_FACTOR * at_baseline + _ALLOWED_POINTS),
        "bulk_insert_row_microseconds": row,
    }


def _mean_limit(samples: Sequence[Sample]) -> float:
    limits = [each.concurrency_limit for each in samples if each.seconds > samples[-1].seconds - _LIMIT_SECONDS]
    return sum(limits) / len(limits)
