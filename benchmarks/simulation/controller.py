"""What all laws of control have in common: a reading goes in, a limit comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

import msgspec

from subscriber.control.governor.decide import Decision, GovernorOptions, GovernorState, decide
from subscriber.control.governor.setpoints import rows_at_most
from subscriber.control.reading import Reading


class Bounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an operator has set."""

    limit_at_least: float = 0.05
    limit_at_most: float = 8.0
    cpu_target_percent: float = 60.0
    cpu_max_percent: float = 85.0
    lag_target_seconds: float = 10.0
    lag_max_seconds: float = 300.0
    slow_statement_seconds: float = 10.0
    batch_max_rows: int = 1000


class Policy(Protocol):
    """One task's law, with its memory. It sees what the daemon's regulator sees, and nothing else."""

    @property
    def limit(self) -> float:
        """How many writes may be at work on average; before the first reading, how it starts."""
        ...

    def decide(self, reading: Reading) -> float:
        """The limit from now on. Asked once a second."""
        ...


@runtime_checkable
class SizingPolicy(Policy, Protocol):
    """A law that also says how large statements may be. No published one does."""

    @property
    def batch_rows(self) -> int:
        """Rows of a statement at most."""
        ...


class Law(msgspec.Struct, frozen=True):
    """A law of control as it can be compared."""

    name: str
    source: str
    """Where it is from, and what had to be translated; shown with every result."""
    make: Callable[[Bounds], Policy]


Laws: TypeAlias = "tuple[Law, ...]"


def clamped(limit: float, bounds: Bounds) -> float:
    """Inside the operator's bounds: every law is held to them, for the limiter would be."""
    return min(bounds.limit_at_most, max(bounds.limit_at_least, limit))


class Governor:
    """Ours: the very function that the daemon runs."""

    def __init__(self, bounds: Bounds, *, has_load_signal: bool = True) -> None:
        self._options = GovernorOptions(
            limit_at_least=bounds.limit_at_least,
            limit_at_most=bounds.limit_at_most,
            slow_statement_seconds=bounds.slow_statement_seconds,
            cpu_target_percent=bounds.cpu_target_percent,
            cpu_max_percent=bounds.cpu_max_percent,
            lag_target_seconds=bounds.lag_target_seconds,
            lag_max_seconds=bounds.lag_max_seconds,
            has_load_signal=has_load_signal,
            batch_max_rows=bounds.batch_max_rows,
        )
        self._state = GovernorState.at_start(self._options)
        self.last: Decision | None = None
        """For those who want to know why."""

    @property
    def limit(self) -> float:
        """As of the last decision."""
        return self._state.limit

    @property
    def batch_rows(self) -> int:
        """Likewise."""
        return rows_at_most(self._options, self._state.cost, self._state.limit)

    def decide(self, reading: Reading) -> float:
        """One step."""
        self._state, self.last = decide(self._options, self._state, reading)
        return self._state.limit


GOVERNOR = Law("governor", "subscriber/control/governor/decide.py, the function that the daemon runs", Governor)
