"""What the default of SUBSCRIBER_DATABASE_LOAD_SOURCE should be: `python -m benchmarks.simulation.default_source`.

A new task meets a backlog of an everyday size on a database of four cores, under `none` and under what `auto` may have
found: a source of seconds, CloudWatch, or nothing. A third of the cores belongs to a neighbor from the fifth minute on.
"""

from __future__ import annotations

from typing import Final

import msgspec

from benchmarks.simulation.controller import GOVERNOR, Bounds
from benchmarks.simulation.database import DatabaseOptions
from benchmarks.simulation.record import Record
from benchmarks.simulation.scenario import Event, Fleet, Load, Scenario, WarmUp
from benchmarks.simulation.sensor import SensorOptions
from benchmarks.simulation.simulator import simulate

SECONDS: Final = 900
MOMENTS: Final = (10, 30, 60, 300, 900)
NEIGHBOR_AT: Final = 300
NEIGHBOR_CORES: Final = 4 / 3

BASE: Final = Scenario(
    question="A new task with a backlog: what does the source of the load change?",
    seconds=SECONDS,
    database=DatabaseOptions(cores=4, row_cpu_microseconds=100),
    warm_up=WarmUp(seconds=0),
    load=Load(backlog_messages=100e6),
    events=(Event(NEIGHBOR_AT, neighbor_cores=NEIGHBOR_CORES),),
)

CLOUDWATCH: Final = SensorOptions(window_seconds=60, delay_seconds=120)

CASES: Final = {
    "none": msgspec.structs.replace(BASE, fleet=Fleet(bounds=Bounds(has_load_source=False))),
    "auto, a source of seconds": BASE,
    "auto, CloudWatch": msgspec.structs.replace(BASE, sensor=CLOUDWATCH),
    "auto, nothing found": msgspec.structs.replace(
        BASE, events=(Event(0, sensor_lost_seconds=SECONDS + 1), *BASE.events)
    ),
}


def row(name: str, record: Record) -> str:
    """Rows stored by each moment, and the CPU alone and beside the neighbor."""
    stored = "".join(f"{record.seconds[moment - 1].stored:>13,}" for moment in MOMENTS)
    alone = [each.cpu_percent for each in record.seconds[60:NEIGHBOR_AT]]
    beside = [each.cpu_percent for each in record.seconds[NEIGHBOR_AT + 60 :]]
    return f"{name:26}{stored}{sum(alone) / len(alone):8.0f} %{sum(beside) / len(beside):8.0f} %"


def main() -> None:
    """Print the table."""
    print(f"{'rows stored after':26}{''.join(f'{moment:>11} s' for moment in MOMENTS)}   CPU alone, with a neighbor")
    for name, scenario in CASES.items():
        print(row(name, simulate(name, scenario, GOVERNOR)))


if __name__ == "__main__":
    main()
