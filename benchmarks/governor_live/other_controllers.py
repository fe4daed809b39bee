"""The governor and the published laws on the same real plant: each steers the same daemon through the same hour.

The governor is the daemon's own. A published law sits outside: once a second it reads what the daemon's control page
shows of the last second, the very reading that the governor gets, and sets the limit through the page, as an operator
would. So all of them move the same limiter before the same database, and only the law differs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.governor_live import series
from benchmarks.governor_live.control_api import Controller
from benchmarks.governor_live.cpu_pinning import told
from benchmarks.governor_live.environment import Drained, LiveEnvironment, plant
from benchmarks.governor_live.noisy_neighbor import NoisyNeighbor, noisy_neighbor_of
from benchmarks.governor_live.row_cost import burden
from benchmarks.governor_live.run import GOVERNED, NEIGHBOR_SHARE
from benchmarks.governor_live.timeline import Act, follow
from benchmarks.loadtest.compare import empty
from benchmarks.loadtest.result import Run
from benchmarks.loadtest.samples import Meter, Sample, daemon_as_consumer
from benchmarks.simulation.controller import GOVERNOR, Bounds, Law
from benchmarks.simulation.controllers.registry import PUBLISHED
from benchmarks.simulation.plot import picture
from benchmarks.simulation.record import Record, Second
from benchmarks.simulation.score import ranked
from testkit.local_stack import running_daemon
from testkit.terminal import Screen
from testkit.workload.backlogs import BacklogLoad

LAWS_SCENARIO: Final = "governor-laws"
QUESTION: Final = (
    "How do the published laws hold the same database with the same daemon, and what becomes of the queue?"
)
MESSAGES: Final = 600_000
COMES: Final = 40.0
GOES: Final = 65.0
ENDS: Final = 90.0

Doing = Callable[[Sequence[Sample]], None]


def hold_laws(screen: Screen, folder: Path) -> list[Run]:
    """Every law in turn, the best score first; a picture goes into the folder.

    Raises:
        PartError: a part did not come up, or died.
        LocalPostgresError: PostgreSQL did not come up.
    """
    with plant() as built, noisy_neighbor_of(built.parts.postgres) as neighbor:
        screen.say(f"  {told(built.cores)}")
        runs = [_steered(built, neighbor, law, screen) for law in (GOVERNOR, *PUBLISHED)]
        rows_at_most = max(_most_rows(run, built.database_cores) for run in runs)
        records = [record_of(run, built.database_cores, rows_at_most) for run in runs]
    laws = {law.name: law for law in (GOVERNOR, *PUBLISHED)}
    results = ranked([(record, laws[record.law].source) for record in records])
    folder.mkdir(parents=True, exist_ok=True)
    drawn = picture(LAWS_SCENARIO, QUESTION, records[0], records[1:])
    (folder / f"{LAWS_SCENARIO}.svg").write_text(drawn, "utf-8")
    by_name = {run.name: run for run in runs}
    return [
        _with_figures(
            by_name[result.law],
            {
                "score": result.score,
                "heat": result.values.heat,
                "lateness": result.values.lateness,
                "wander": result.values.wander,
                "mean_cpu_percent": result.mean_cpu_percent,
            },
        )
        for result in results
    ]


def record_of(run: Run, cores: float, rows_at_most: float) -> Record:
    """A run as the simulator records one, so that the same score and picture are for both.

    `rows_at_most` is what the database can store in a second: the most that anybody had it do for five.
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
                neighbor_cores=NEIGHBOR_SHARE if COMES < each.at <= GOES else 0.0,
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
    return Record(run.name, LAWS_SCENARIO, Bounds(), rows_at_most, tuple(found), (path,))


def _most_rows(run: Run, cores: float) -> float:
    return max(each.rows for each in series.smoothed(series.seconds_of(run.samples, cores)))


def _steered(built: LiveEnvironment, neighbor: NoisyNeighbor, law: Law, screen: Screen) -> Run:
    screen.say(f"  {law.name}: {law.source}")
    parts, load = built.parts, BacklogLoad("flood", MESSAGES)
    queue_url = parts.make_queue(f"law-{law.name.replace(' ', '-').replace('.', '')}")
    with running_daemon(parts, queue_url, GOVERNED) as daemon, ExitStack() as visit:
        burden(parts.postgres.url)
        asyncio.run(empty(parts.postgres.url))
        acts = [
            Act(0, law.name, lambda _: load.attach(parts.client, queue_url)),
            Act(COMES, "neighbor", lambda _: visit.enter_context(neighbor.at_work(NEIGHBOR_SHARE))),
            Act(GOES, "neighbor gone", lambda _: visit.close()),
        ]
        controller = Controller(daemon)
        controller.wait_for_sensor()
        if law is not GOVERNOR:
            steer = _steering(law, controller)
            acts += [Act(float(second), "", steer) for second in range(int(ENDS))]
        meter = Meter(parts, queue_url, daemon_as_consumer(daemon))
        with built.watched() as disturbance:
            samples = follow(meter, MESSAGES, acts, ENDS, screen)
        exit_code = daemon.stop()
    control = {"disturbed_percent": disturbance.percent}
    return built.judged(law.name, Drained(load, queue_url, samples, exit_code, control), GOVERNED, law.source)


def _steering(law: Law, controller: Controller) -> Doing:
    policy = law.make(Bounds())
    controller.fix(policy.limit)

    def step(_: Sequence[Sample]) -> None:
        reading = controller.status().reading
        if reading is not None and (limit := policy.decide(reading)) != controller.fixed:
            controller.fix(limit)

    return step


def _with_figures(run: Run, control: dict[str, float]) -> Run:
    whole = msgspec.structs.replace(run.figures, control={**control, **run.figures.control})
    return msgspec.structs.replace(run, figures=whole)
