"""The loop around the governor: once a second it reads, lets the governor decide, and sets three numbers.

The limit of the limiter, the rows that a batch may have, and the live budget of the leases: two seconds of what was
stored per second of late, so that a slow database is not handed a long queue inside the process, where no other task
can help; but never less than the batches that the limiter lets be written need.

It is also where the operator's hands take hold. While the daemon is paused or its limit is fixed the governor is not
asked; readings, alarms and the budget go on. Asked again, it begins anew at the limit in force.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import msgspec

from subscriber.control.alarms import Alarms
from subscriber.control.governor.decide import Decision, GovernorOptions, GovernorState, decide
from subscriber.control.governor.setpoints import rows_at_most
from subscriber.control.observer import Observer
from subscriber.control.overrides import Command, DesiredState, desired_after
from subscriber.control.reading import Reading
from subscriber.control.report import Report
from subscriber.control.status import ControlStatus
from subscriber.flow.leases import Pauser
from subscriber.flow.limiter import permits_for

PERIOD_SECONDS = 1.0
BUDGET_SECONDS = 2.0
RATE_SMOOTHING = 0.5
"""Weight of the newest second in the rate that sets the budget."""


class Limit(Protocol):
    """The limiter, as the regulator sees it."""

    @property
    def limit(self) -> float:
        """Concurrent writes on average."""
        ...

    def set_limit(self, limit: float) -> None:
        """Change it."""
        ...

    def pause(self) -> None:
        """Let no write begin."""
        ...

    def resume(self) -> None:
        """Let writes begin again."""
        ...


class Budget(Protocol):
    """The leases, as the regulator sees them."""

    @property
    def messages_held(self) -> int:
        """Messages inside the process."""
        ...

    def set_live_messages(self, messages: int) -> None:
        """How many messages may be held for now."""
        ...

    def pause(self, by: Pauser) -> None:
        """Let no poll begin."""
        ...

    def resume(self, by: Pauser) -> None:
        """Let polls begin again, as far as `by` is concerned."""
        ...


class Batches(Protocol):
    """The batches, as the regulator sees them."""

    def set_rows_at_most(self, rows: int) -> None:
        """How many rows one may have from now on."""
        ...


class Regulator:
    """Runs until cancelled.

    Args:
        options: bounds, and what the governor goes by.
        observer: makes the readings.
        alarms: looks at the queues.
        report: is told of every decision, for metrics, log and page.
        limiter: whose limit is set.
        leases: whose budget is set.
        batches: whose size is set.
    """

    def __init__(
        self,
        options: GovernorOptions,
        observer: Observer,
        alarms: Alarms,
        report: Report,
        limiter: Limit,
        *,
        leases: Budget,
        batches: Batches,
    ) -> None:
        self._options = options
        self._observer = observer
        self._alarms = alarms
        self._report = report
        self._limiter = limiter
        self._leases = leases
        self._batches = batches
        self._desired = DesiredState()
        self._state = GovernorState.at_start(options)
        self._reading: Reading | None = None
        self._rate = 0.0
        limiter.set_limit(self._state.limit)
        batches.set_rows_at_most(rows_at_most(options, self._state.cost, self._state.limit))
        report.mode_is(self._desired.mode)

    async def run(self) -> None:
        """Read, decide, set; once a second."""
        async with asyncio.TaskGroup() as side:
            side.create_task(self._observer.run(), name="observer")
            await self._regulate()

    def apply(self, command: Command) -> None:
        """Do what the operator wants, from this moment on.

        Raises:
            CommandError: it cannot be done; nothing has changed.
        """
        bounds, before, limit_before = self._options, self._desired, self._limiter.limit
        desired = self._desired = desired_after(before, command, bounds.limit_at_least, bounds.limit_at_most)
        if desired.fixed_limit is not None and desired.fixed_limit != limit_before:
            self._limiter.set_limit(desired.fixed_limit)
            self._batches.set_rows_at_most(rows_at_most(bounds, self._state.cost, desired.fixed_limit))
        if desired.is_paused and not before.is_paused:
            self._limiter.pause()
            self._leases.pause("operator")
        if before.is_paused and not desired.is_paused:
            self._leases.resume("operator")
            self._limiter.resume()
        if desired.mode == "auto" and before.mode != "auto":
            anew = GovernorState.at_start(self._options)
            self._state = msgspec.structs.replace(anew, limit=self._limiter.limit)
        self._report.applied(command, desired, limit=self._limiter.limit, was=limit_before)

    def status(self) -> ControlStatus:
        """All there is to see."""
        bounds = self._options
        return self._report.status(
            self._desired,
            self._reading,
            limits=(bounds.limit_at_least, self._limiter.limit, bounds.limit_at_most),
            held_messages=self._leases.messages_held,
        )

    async def _regulate(self) -> None:
        clock = asyncio.get_running_loop().time
        self._observer.begin(clock())
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            reading = self._reading = self._observer.read(clock())
            is_receiving = self._observer.is_receiving and not self._desired.is_paused
            self._alarms.look(reading.taken_at, is_receiving=is_receiving)
            if self._desired.mode == "auto":
                self._state, decision = decide(self._options, self._state, reading)
                self._apply(reading, decision)
            self._set_budget(reading)

    def _apply(self, reading: Reading, decision: Decision) -> None:
        was = self._limiter.limit
        self._report.decided(decision, reading, was=was)
        self._batches.set_rows_at_most(decision.batch_rows)
        if decision.limit != was:
            self._limiter.set_limit(decision.limit)

    def _set_budget(self, reading: Reading) -> None:
        """At least as many full batches as the limiter lets be written, one that waits and one that grows.

        With less, statements that take long would starve the writers, and the budget that follows their rate with them.
        """
        self._rate += RATE_SMOOTHING * (reading.rows_per_second - self._rate)
        in_hand = (permits_for(self._limiter.limit) + 2) * self._options.batch_max_rows
        self._leases.set_live_messages(max(in_hand, int(BUDGET_SECONDS * self._rate)))
