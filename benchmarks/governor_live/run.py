"""The governor on the real plant: everyday, then a flood, a neighbor who comes and goes, and a fixed limit beside it.

    0 s     two million messages are there; the daemon, idle so far, is at its smallest limit
    90 s    the neighbor comes, and takes half of the core
    130 s   he goes
    165 s   the limit is fixed at what the governor gave it in the last ten seconds
    180 s   the governor has it again
    210 s   the limit is fixed once more, likewise
    225 s   the end

What a row costs drifts by a tenth and more within minutes, whatever the limit, as the table grows and the machine has
other guests. So the rate at a fixed limit is compared with the governor's in between, where the drift is in both.

Before it, in daemons of their own: 200 messages a second without a backlog, and the floor, the same rows in statements
of a thousand from a program that does nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

import msgspec

from benchmarks.governor_live import metrics, series
from benchmarks.governor_live.control_api import SETTINGS, Controller
from benchmarks.governor_live.cpu_pinning import told
from benchmarks.governor_live.environment import Drained, LiveEnvironment, plant
from benchmarks.governor_live.noisy_neighbor import noisy_neighbor_of
from benchmarks.governor_live.row_cost import burden
from benchmarks.governor_live.series import Second
from benchmarks.governor_live.timeline import Act, follow
from benchmarks.loadtest.compare import empty, measure_floor
from benchmarks.loadtest.result import Run
from benchmarks.loadtest.runner import Trial
from benchmarks.loadtest.samples import Meter, Sample, daemon_as_consumer
from benchmarks.loadtest.scenarios import Scenario
from testkit.environment import Stage
from testkit.local_stack import running_daemon
from testkit.terminal import Screen
from testkit.workload.backlogs import BacklogLoad
from testkit.workload.load import Phase

GOVERNOR: Final = "governor"
QUESTION: Final = "Does the governor hold a database of one core at its ceiling, and make room for others?"
GOVERNED: Final = {"SUBSCRIBER_DATABASE_LOAD_SOURCE": "local", **SETTINGS}

MESSAGES: Final = 2_000_000
"""More than anybody drains in the time."""
NEIGHBOR_SHARE: Final = 0.5
SETTLED: Final = 20.0
COMES: Final = 90.0
GOES: Final = 130.0
FIXED: Final = 165.0
RELEASED: Final = 180.0
FIXED_AGAIN: Final = 210.0
ENDS: Final = 225.0
_STEP_SECONDS = 5.0
"""Who has just taken over is judged from so much later on: what was in force before is not counted then."""
_LIMIT_SECONDS = 10.0
"""The limit is fixed at its mean over so much."""
_EVERYDAY = Scenario(
    "everyday",
    "What does the database pay at 200 messages a second?",
    profile=(Phase(200, 30),),
    settings=GOVERNED,
)
_FLOOR_ROWS = 20_000
_FLOOR_FACTOR = 1.2
_FLOOR_POINTS = 2.0
"""What an everyday load may cost: a fifth more than its rows at the floor's price, and two points."""


def conduct_governor(screen: Screen) -> list[Run]:
    """The flood under the governor; everyday and the floor, whose figures it is held against.

    Raises:
        PartError: a part did not come up, or died.
        LocalPostgresError: PostgreSQL did not come up.
    """
    with plant() as built:
        screen.say(f"  {told(built.cores)}")
        everyday = _everyday(built.parts, screen)
        floor = measure_floor(built.parts, BacklogLoad("flood", _FLOOR_ROWS), screen)
        asyncio.run(empty(built.parts.postgres.url))
        flood = _flood(built, screen)
    control = {**flood.figures.control, **_everyday_figures(everyday, floor, built.database_cores)}
    whole = msgspec.structs.replace(flood.figures, control=control)
    return [msgspec.structs.replace(flood, figures=whole, remark=told(built.cores)), everyday, floor]


def _everyday(parts: Stage, screen: Screen) -> Run:
    screen.say(f"  {_EVERYDAY.name}: {_EVERYDAY.question}")
    queue_url = parts.make_queue("governor-everyday")
    with running_daemon(parts, queue_url, GOVERNED) as daemon:
        burden(parts.postgres.url)
        run = Trial(parts, queue_url, daemon, _EVERYDAY, screen).pace()
    return msgspec.structs.replace(run, name=_EVERYDAY.name, remark="200 messages a second, no backlog")


def _flood(built: LiveEnvironment, screen: Screen) -> Run:
    parts, load = built.parts, BacklogLoad("flood", MESSAGES)
    queue_url = parts.make_queue("governor-flood")
    with (
        noisy_neighbor_of(parts.postgres) as neighbor,
        running_daemon(parts, queue_url, GOVERNED) as daemon,
        ExitStack() as visit,
    ):
        controller = Controller(daemon)
        controller.wait_for_sensor()
        acts = [
            Act(0, "flood", lambda _: load.attach(parts.client, queue_url)),
            Act(COMES, "neighbor", lambda _: visit.enter_context(neighbor.at_work(NEIGHBOR_SHARE))),
            Act(GOES, "neighbor gone", lambda _: visit.close()),
            Act(FIXED, "fixed limit", lambda samples: controller.fix(_mean_limit(samples))),
            Act(RELEASED, "governor", lambda _: controller.release()),
            Act(FIXED_AGAIN, "fixed limit", lambda samples: controller.fix(_mean_limit(samples))),
        ]
        meter = Meter(parts, queue_url, daemon_as_consumer(daemon))
        with built.watched() as disturbance:
            samples = follow(meter, MESSAGES, acts, ENDS, screen)
        exit_code = daemon.stop()
    control = {**control_figures(samples, built.database_cores), "disturbed_percent": disturbance.percent}
    return built.judged(GOVERNOR, Drained(load, queue_url, samples, exit_code, control), GOVERNED)


def control_figures(samples: Sequence[Sample], cores: float) -> dict[str, float | None]:
    """What the curve of such a flood says. Pure."""
    raw = series.seconds_of(samples, cores)
    mean = series.smoothed(raw)
    alone = series.between(mean, 0, COMES)
    settled = series.between(mean, SETTLED, COMES)
    visited = series.between(mean, COMES, GOES)
    left = series.between(mean, GOES, FIXED)
    fixed = [
        *series.between(raw, FIXED + _STEP_SECONDS, RELEASED),
        *series.between(raw, FIXED_AGAIN + _STEP_SECONDS, ENDS),
    ]
    beside = series.between(raw, RELEASED + _STEP_SECONDS, FIXED_AGAIN)
    way_up = metrics.mean_rows(series.between(raw, 0, COMES)) / metrics.mean_rows(series.between(raw, SETTLED, COMES))
    efficiency = _rows_a_point(beside) / _rows_a_point(fixed)
    return {
        "settling_seconds": metrics.settling_seconds(alone),
        "within_band_share": metrics.within_band_share(settled),
        "within_band_share_raw": metrics.within_band_share(series.between(raw, SETTLED, COMES)),
        "overshoot_points": metrics.overshoot_points(alone),
        "neighbor_back_under_seconds": metrics.back_under_seconds(visited),
        "neighbor_overshoot_points": metrics.overshoot_points(visited),
        "share_regained_seconds": metrics.regained_seconds(left, metrics.mean_rows(settled)),
        "settled_cpu_percent": metrics.mean_cpu(settled),
        "settled_rows_per_second": metrics.mean_rows(settled),
        "fixed_limit": metrics.mean_limit(fixed),
        "fixed_cpu_percent": metrics.mean_cpu(fixed),
        "fixed_rows_per_second": metrics.mean_rows(fixed),
        "way_up_share": way_up,
        "efficiency_to_fixed": efficiency,
        "rate_to_fixed": way_up * efficiency,
    }


def _rows_a_point(seconds: Sequence[Second]) -> float:
    """Rows a second for each point of CPU: so limits that come out a little apart can be compared."""
    return metrics.mean_rows(seconds) / metrics.mean_cpu(seconds)


def _everyday_figures(everyday: Run, floor: Run, cores: float) -> dict[str, float | None]:
    percent = 100 * everyday.figures.database_cpu_share / cores
    row = floor.figures.cpu_microseconds_per_message["database"]
    at_floor = 100 * everyday.figures.messages_per_second * row / 1e6 / cores
    return {
        "everyday_cpu_percent": percent,
        "everyday_cpu_allowed_percent": _FLOOR_FACTOR * at_floor + _FLOOR_POINTS,
        "everyday_cpu_to_allowed": percent / (_FLOOR_FACTOR * at_floor + _FLOOR_POINTS),
        "floor_row_microseconds": row,
    }


def _mean_limit(samples: Sequence[Sample]) -> float:
    limits = [each.concurrency_limit for each in samples if each.seconds > samples[-1].seconds - _LIMIT_SECONDS]
    return sum(limits) / len(limits)
