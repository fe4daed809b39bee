"""A scenario: what there is, what happens when, and within which ranges it has to come out. Read from TOML."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from benchmarks.simulation.controller import Bounds
from benchmarks.simulation.database import DatabaseOptions
from benchmarks.simulation.sensor import SensorOptions

FOLDER: Final = Path(__file__).parent / "scenarios"

EVERYDAY_SHARE: Final = 0.1
"""Of what the database could store: nobody is in distress, and nobody idle."""

Figure: TypeAlias = Literal[
    "within_band_share",
    "settling_seconds",
    "overshoot_points",
    "peak_to_peak_points",
    "mean_percent",
    "back_in_band_seconds",
    "fairness",
    "lag_at_most_seconds",
    "stored_per_second",
]


class Load(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is offered from the start."""

    messages_per_second: float = 0.0
    backlog_messages: float = 0.0
    backlog_age_seconds: float = 0.0
    """The oldest of the backlog's; the newest is new."""


class LeadIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An everyday load before anything happens, the same for every law and never scored.

    Where a law begins is its author's choice of a constant; what a scenario asks is how it answers an event. So each
    is first given the time to come to rest: the slowest of them move once a minute, and the slowest sensor needs
    four to tell of one.
    """

    seconds: int = 900
    """A multiple of the sensor's window; 0: the scenario is about a start."""
    messages_per_second: float | None = None
    """None: a tenth of what the database could store."""


class Fleet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The daemons."""

    tasks: int = 1
    linger_seconds: float = 0.25
    bounds: Bounds = Bounds()


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that happens: all that is named, at once."""

    at_seconds: float
    """Since the end of the lead-in; negative: during it."""
    messages_per_second: float | None = None
    backlog_messages: float | None = None
    neighbor_cores: float | None = None
    cores: float | None = None
    database_away_seconds: float | None = None
    sensor_lost_seconds: float | None = None
    start_tasks: int = 0
    stop_tasks: int = 0
    """The oldest finish what they write, and end."""
    kill_tasks: int = 0
    """The oldest end in the middle of it; what they held becomes visible again when its lease ends."""


class Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A figure of a span of the run, and its range."""

    figure: Figure
    from_seconds: float
    to_seconds: float
    at_least: float | None = None
    at_most: float | None = None

    def is_met(self, value: float) -> bool:
        """Whether a value lies in the range; what is no number does not."""
        if self.at_least is not None and not value >= self.at_least:
            return False
        return self.at_most is None or value <= self.at_most


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of the folder."""

    question: str
    seconds: int
    """Without the lead-in."""
    is_counted: bool = True
    """Whether it is one of those over which laws are ranked."""
    seed: int = 1
    database: DatabaseOptions = DatabaseOptions()
    sensor: SensorOptions = SensorOptions()
    fleet: Fleet = Fleet()
    lead_in: LeadIn = LeadIn()
    load: Load = Load()
    events: tuple[Event, ...] = ()
    expected: tuple[Expectation, ...] = ()

    @property
    def everyday_messages_per_second(self) -> float:
        """The load of the lead-in."""
        told = self.lead_in.messages_per_second
        return EVERYDAY_SHARE * self.database.rows_per_second if told is None else told


def names() -> list[str]:
    """All scenarios there are."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read(name: str) -> Scenario:
    """A scenario by its name.

    Raises:
        FileNotFoundError: there is none of that name.
        msgspec.ValidationError: the file says something that no scenario can.
    """
    return msgspec.toml.decode((FOLDER / f"{name}.toml").read_bytes(), type=Scenario)
