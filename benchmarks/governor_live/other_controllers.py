"""The governor and published controllers on the same real database: each controls the same daemon in the same scenario.

The governor is part of the daemon. A published controller runs outside: once a second it takes the last reading from
the daemon's control API, the same reading that the governor gets, and sets the limit through that API, as an operator
would. So all of them set the limit of the same limiter for the same database, and only the controller differs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.governor_live import series
from benchmarks.governor_live.control_api import ControlClient
from benchmarks.governor_live.cpu_pinning import describe
from benchmarks.governor_live.environment import DrainResult, LiveEnvironment, live_environment
from benchmarks.governor_live.noisy_neighbor import NoisyNeighbor, noisy_neighbor_of
from benchmarks.governor_live.row_cost import make_rows_expensive
from benchmarks.governor_live.run import GOVERNED, NEIGHBOR_SHARE
from benchmarks.governor_live.timeline import Action, run_timeline
from benchmarks.loadtest.compare import empty
from benchmarks.loadtest.result import Run
from benchmarks.loadtest.samples import Meter, Sample, daemon_as_consumer
from benchmarks.simulation.controller import GOVERNOR, Bounds, ControllerSpec
from benchmarks.simulation.controllers.registry import PUBLISHED
from benchmarks.simulation.plot import comparison_svg
from benchmarks.simulation.record import Record, Second
from benchmarks.simulation.score import ranked
from testkit.local_stack import running_daemon
from testkit.terminal import Screen
from testkit.workload.backlogs import BacklogLoad

CONTROLLERS_SCENARIO: Final = "governor-laws"
QUESTION: Final = (
    "How do published controllers hold the same database with the same daemon, and how fast is the queue drained?"
)
MESSAGES: Final = 600_000
NEIGHBOR_STARTS: Final = 40.0
NEIGHBOR_STOPS: Final = 65.0
ENDS: Final = 90.0

Steering = Callable[[Sequence[Sample]], None]


def compare_controllers(screen: Screen, folder: Path) -> list[Run]:
    """Runs every controller in turn; returns the runs, best score first, and writes a plot into the folder.

    Raises:
        ProcessError: a part did not come up, or died.
        LocalPostgresError: PostgreSQL did not come up.
    """
    with live_environment() as environment, noisy_neighbor_of(environment.parts.postgres) as neighbor:
        screen.say(f"  {describe(environment.cores)}")
        runs = [_run_with(environment, neighbor, spec, screen) for spec in (GOVERNOR, *PUBLISHED)]
        rows_at_most = max(_most_rows(run, environment.database_cores) for run in runs)
        records = [record_of(run, environment.database_cores, rows_at_most) for run in runs]
    sources = {spec.name: spec.source for spec in (GOVERNOR, *PUBLISHED)}
    results = ranked([(record, sources[record.controller]) for record in records])
    folder.mkdir(parents=True, exist_ok=True)
    drawn = comparison_svg(CONTROLLERS_SCENARIO, QUESTION, records[0], records[1:])
    (folder / f"{CONTROLLERS_SCENARIO}.svg").write_text(drawn, "utf-8")
    by_name = {run.name: run for run in runs}
    return [
        _with_figures(
            by_name[result.controller],
            {
                "score": result.score,
                "overload": result.values.overload,
                "lateness": result.values.lateness,
                "movement": result.values.movement,
                "mean_cpu_percent": result.mean_cpu_percent,
            },
        )
        for result in results
    ]


def record_of(run: Run, cores: float, rows_at_most: float) -> Record:
    """A run in the simulator's format, so that score and plot are computed in the same way.

    `rows_at_most` is the capacity of the database in rows per second: the best five seconds of any controller.
    """
    seconds = series.seconds_of(run.samples, cores)
    stored = 0.0
    found = []
    for each in seconds:
        stored += each.rows
        found.append(
            Second(
                at=each.at,
                cpu_percent=each.cpu_percent,
                neighbor_cores=NEIGHBOR_SHARE if NEIGHBOR_STARTS < each.at <= NEIGHBOR_STOPS else 0.0,
                cores=cores,
                lag_seconds=each.lag_seconds,
                waiting=max(0.0, MESSAGES - stored),
                arrived=MESSAGES,
                stored=round(stored),
                used=each.limit,
                limits=(each.limit,),
            )
        )
    path = tuple(each.limit for each in seconds)
    return Record(run.name, CONTROLLERS_SCENARIO, Bounds(), rows_at_most, tuple(found), (path,))


def _most_rows(run: Run, cores: float) -> float:
    return max(each.rows for each in series.smoothed(series.seconds_of(run.samples, cores)))


def _run_with(environment: LiveEnvironment, neighbor: NoisyNeighbor, spec: ControllerSpec, screen: Screen) -> Run:
    screen.say(f"  {spec.name}: {spec.source}")
    parts, load = environment.parts, BacklogLoad("flood", MESSAGES)
    queue_url = parts.make_queue(f"controller-{spec.name.replace(' ', '-').replace('.', '')}")
    with running_daemon(parts, queue_url, GOVERNED) as daemon, ExitStack() as neighbor_stack:
        make_rows_expensive(parts.postgres.url)
        asyncio.run(empty(parts.postgres.url))
        actions = [
            Action(0, spec.name, lambda _: load.attach(parts.client, queue_url)),
            Action(
                NEIGHBOR_STARTS, "neighbor", lambda _: neighbor_stack.enter_context(neighbor.active(NEIGHBOR_SHARE))
            ),
            Action(NEIGHBOR_STOPS, "neighbor gone", lambda _: neighbor_stack.close()),
        ]
        client = ControlClient(daemon)
        client.wait_for_sensor()
        if spec is not GOVERNOR:
            steer = _steering(spec, client)
            actions += [Action(float(second), "", steer) for second in range(int(ENDS))]
        meter = Meter(parts, queue_url, daemon_as_consumer(daemon))
        with environment.watched() as disturbance:
            samples = run_timeline(meter, MESSAGES, actions, ENDS, screen)
        exit_code = daemon.stop()
    control = {"disturbed_percent": disturbance.percent}
    return environment.checked_run(
        spec.name, DrainResult(load, queue_url, samples, exit_code, control), GOVERNED, spec.source
    )


def _steering(spec: ControllerSpec, client: ControlClient) -> Steering:
    controller = spec.make(Bounds())
    client.fix(controller.limit)

    def step(_: Sequence[Sample]) -> None:
        reading = client.status().reading
        if reading is not None and (limit := controller.decide(reading)) != client.fixed:
            client.fix(limit)

    return step


def _with_figures(run: Run, control: dict[str, float]) -> Run:
    whole = msgspec.structs.replace(run.figures, control={**control, **run.figures.control})
    return msgspec.structs.replace(run, figures=whole)
