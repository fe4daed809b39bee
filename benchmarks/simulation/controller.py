"""The common interface of all controllers: they take a reading and return a concurrency limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import msgspec

from subscriber.control.governor.decide import Decision, GovernorOptions, GovernorState, decide
from subscriber.control.governor.setpoints import rows_for_cost
from subscriber.control.reading import Reading


class Bounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The limits and targets that an operator sets; every controller gets the same."""

    limit_at_least: float = 0.05
    limit_at_most: float = 8.0
    cpu_target_percent: float = 60.0
    cpu_max_percent: float = 85.0
    lag_target_seconds: float = 10.0
    lag_max_seconds: float = 300.0
    slow_statement_seconds: float = 10.0
    batch_max_rows: int = 1000
    has_load_source: bool = True
    """False: nothing reads the database's load."""


class Controller(Protocol):
    """The controller of one task, with its state. It gets only the readings that the daemon's regulator gets."""

    @property
    def limit(self) -> float:
        """Mean number of concurrent writes; before the first reading, the limit at the start."""
        ...

    def decide(self, reading: Reading) -> float:
        """The limit from now on. Called once a second."""
        ...


@runtime_checkable
class BatchSizingController(Controller, Protocol):
    """A controller that also limits the size of statements. None of the published ones does."""

    @property
    def batch_rows(self) -> int:
        """The most rows in one statement."""
        ...


class ControllerSpec(msgspec.Struct, frozen=True):
    """A kind of controller that takes part in the comparison."""

    name: str
    source: str
    """Its origin, and what was adapted; shown with every result."""
    make: Callable[[Bounds], Controller]


def clamped(limit: float, bounds: Bounds) -> float:
    """The limit within the operator's bounds; they apply to every controller, as they would in the limiter."""
    return min(bounds.limit_at_most, max(bounds.limit_at_least, limit))


class Governor:
    """Our governor: the function that the daemon runs."""

    def __init__(self, bounds: Bounds) -> None:
        self._options = GovernorOptions(
            limit_at_least=bounds.limit_at_least,
            limit_at_most=bounds.limit_at_most,
            slow_statement_seconds=bounds.slow_statement_seconds,
            cpu_target_percent=bounds.cpu_target_percent,
            cpu_max_percent=bounds.cpu_max_percent,
            lag_target_seconds=bounds.lag_target_seconds,
            lag_max_seconds=bounds.lag_max_seconds,
            has_load_signal=bounds.has_load_source,
            batch_max_rows=bounds.batch_max_rows,
        )
        self._state = GovernorState.at_start(self._options)
        self.last: Decision | None = None
        """The last decision, with its reason."""

    @property
    def limit(self) -> float:
        """The limit of the last decision."""
        return self._state.limit

    @property
    def batch_rows(self) -> int:
        """The batch size of the last decision."""
        return rows_for_cost(self._options, self._state.cost, self._state.limit)

    def decide(self, reading: Reading) -> float:
        """Makes one decision."""
        self._state, self.last = decide(self._options, self._state, reading)
        return self._state.limit


GOVERNOR = ControllerSpec(
    "governor", "subscriber/control/governor/decide.py, the function that the daemon runs", Governor
)
