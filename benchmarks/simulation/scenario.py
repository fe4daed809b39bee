"""A scenario, read from TOML: the parts, the events, and the ranges in which the figures must lie."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from benchmarks.simulation.controller import Bounds
from benchmarks.simulation.database import DatabaseOptions
from benchmarks.simulation.sensor import SensorOptions

FOLDER: Final = Path(__file__).parent / "scenarios"

WARM_UP_SHARE: Final = 0.1
"""Share of the database's capacity: neither overloaded nor idle."""

Figure: TypeAlias = Literal[
    "within_band_share",
    "settling_seconds",
    "overshoot_points",
    "peak_to_peak_points",
    "mean_percent",
    "back_in_band_seconds",
    "fairness",
    "limit_at_most",
    "lag_at_most_seconds",
    "stored_per_second",
]


class Load(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The load from the start."""

    messages_per_second: float = 0.0
    backlog_messages: float = 0.0
    backlog_age_seconds: float = 0.0
    """Age of the oldest message of the backlog; the newest is new."""
    backlog_was_received: bool = False
    """Whether another consumer received the backlog before, and did not delete it."""


class WarmUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A steady load before any event, the same for every controller and never scored.

    The initial limit of a controller is an arbitrary constant; a scenario asks how a controller responds to an event.
    So each first gets time to settle: the slowest controllers decide once a minute, and the slowest sensor needs four
    minutes to report one.
    """

    seconds: int = 900
    """A multiple of the sensor's window; 0: the scenario is about the start itself."""
    messages_per_second: float | None = None
    """None: a tenth of the database's capacity."""


class Fleet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The daemons."""

    tasks: int = 1
    linger_seconds: float = 0.25
    bounds: Bounds = Bounds()


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event: all changes that it names happen at once."""

    at_seconds: float
    """Seconds since the end of the warm-up; negative: during it."""
    messages_per_second: float | None = None
    backlog_messages: float | None = None
    neighbor_cores: float | None = None
    cores: float | None = None
    row_cpu_microseconds: float | None = None
    database_down_seconds: float | None = None
    sensor_lost_seconds: float | None = None
    start_tasks: int = 0
    stop_tasks: int = 0
    """The oldest tasks finish their writes and end."""
    kill_tasks: int = 0
    """The oldest tasks end at once; their messages become visible again when the leases expire."""


class Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A figure of a span of the run, and its expected range."""

    figure: Figure
    from_seconds: float
    to_seconds: float
    at_least: float | None = None
    at_most: float | None = None

    def is_met(self, value: float) -> bool:
        """Whether a value lies in the range; NaN does not."""
        if self.at_least is not None and not value >= self.at_least:
            return False
        return self.at_most is None or value <= self.at_most


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One scenario file."""

    question: str
    seconds: int
    """Duration without the warm-up."""
    is_counted: bool = True
    """Whether the scenario counts for the ranks."""
    seed: int = 1
    database: DatabaseOptions = DatabaseOptions()
    sensor: SensorOptions = SensorOptions()
    fleet: Fleet = Fleet()
    warm_up: WarmUp = WarmUp()
    load: Load = Load()
    events: tuple[Event, ...] = ()
    expected: tuple[Expectation, ...] = ()

    @property
    def warm_up_messages_per_second(self) -> float:
        """The load of the warm-up."""
        rate = self.warm_up.messages_per_second
        return WARM_UP_SHARE * self.database.rows_per_second if rate is None else rate


def names() -> list[str]:
    """Names of all scenarios."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read(name: str) -> Scenario:
    """Reads a scenario by name.

    Raises:
        FileNotFoundError: there is no such scenario.
        msgspec.ValidationError: the file is not a valid scenario.
    """
    return msgspec.toml.decode((FOLDER / f"{name}.toml").read_bytes(), type=Scenario)
