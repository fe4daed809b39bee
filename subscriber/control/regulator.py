"""The loop around the governor: once a second it reads, lets the governor decide, and sets two numbers.

The limit of the gate, and the live budget of the leases: two seconds of what was stored per second of late, so
that a slow database is not handed a long queue inside the process, where no other task can help; but never less
than the batches that the gate lets be written need.
"""

from __future__ import annotations

import asyncio
import copy
from typing import Protocol

import msgspec

from subscriber.control.governor import Decision, GovernorOptions, GovernorState, decide
from subscriber.control.reading import Reading, WriteTally, reading_between
from subscriber.flow.gate import places_for
from subscriber.observe.log import get_logger

PERIOD_SECONDS = 1.0
BUDGET_SECONDS = 2.0
RATE_SMOOTHING = 0.5
"""Weight of the newest second in the rate that sets the budget."""

_log = get_logger()


class Limit(Protocol):
    """The gate, as the regulator sees it."""

    @property
    def limit(self) -> float:
        """Concurrent writes on average."""
        ...

    def set_limit(self, limit: float) -> None:
        """Change it."""
        ...


class Budget(Protocol):
    """The leases, as the regulator sees them."""

    def set_live_messages(self, messages: int) -> None:
        """How many messages may be held for now."""
        ...


class RegulatorOptions(msgspec.Struct, frozen=True):
    """What the governor may do, and the least budget."""

    governor: GovernorOptions
    batch_max_rows: int
    """The least budget is as many full batches as the gate lets be written, one that waits and one that grows: with
    less, statements that take long would starve the writers, and the budget that follows their rate with them."""


class Regulator:
    """Runs until cancelled."""

    def __init__(self, options: RegulatorOptions, tally: WriteTally, gate: Limit, leases: Budget) -> None:
        self._options = options
        self._tally = tally
        self._gate = gate
        self._leases = leases
        self._rate = 0.0
        self._state = GovernorState.at_start(options.governor)

    async def run(self) -> None:
        """Read, decide, set; once a second."""
        clock = asyncio.get_running_loop().time
        before, taken_at = copy.copy(self._tally), clock()
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            now = clock()
            reading = reading_between(before, self._tally, now, now - taken_at)
            before, taken_at = copy.copy(self._tally), now
            self._state, decision = decide(self._options.governor, self._state, reading)
            self._apply(reading, decision)

    def _apply(self, reading: Reading, decision: Decision) -> None:
        if decision.limit != self._gate.limit:
            _log.info(
                "limit.changed",
                limit=round(decision.limit, 3),
                was=round(self._gate.limit, 3),
                reason=decision.reason,
                failures=reading.failures,
                statement_seconds=reading.statement_seconds,
                rows_per_second=round(reading.rows_per_second),
            )
            self._gate.set_limit(decision.limit)
        self._rate += RATE_SMOOTHING * (reading.rows_per_second - self._rate)
        in_hand = (places_for(decision.limit) + 2) * self._options.batch_max_rows
        self._leases.set_live_messages(max(in_hand, int(BUDGET_SECONDS * self._rate)))
