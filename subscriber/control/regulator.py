"""The loop around the governor: once a second it takes a reading, lets the governor decide, and sets three numbers.

These are the limit of the concurrency limiter, the rows of a batch, and the live budget of the leases. The budget is
two seconds of the rows stored per second recently, so that a slow database does not fill the process with messages that
no other task can then take; it is never less than the batches that the limiter lets run need.

The loop also applies operator overrides. While the daemon is paused or its limit is fixed the governor does not
decide; readings, alarms and the budget go on. After that the governor starts anew from the limit in force.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from subscriber.control.alarms import Alarms
from subscriber.control.governor.decide import Decision, GovernorOptions, GovernorState, decide
from subscriber.control.governor.setpoints import rows_for_cost
from subscriber.control.observer import Observer
from subscriber.control.overrides import Command, DesiredState, desired_after
from subscriber.control.reading import Reading
from subscriber.control.report import Report
from subscriber.control.status import ControlStatus
from subscriber.flow.leases import VisibilityLeases
from subscriber.flow.limiter import ConcurrencyLimiter, permits_for

PERIOD_SECONDS = 1.0
BUDGET_SECONDS = 2.0
RATE_SMOOTHING = 0.5
"""Weight of the newest second in the rate that sets the budget."""


class Regulator:
    """Runs until cancelled.

    Args:
        options: the governor's.
        observer: makes the readings.
        alarms: checks the queues for stalls.
        report: publishes every decision to metrics, log and control page.
        limiter: the regulator sets its limit.
        leases: the regulator sets their budget.
        set_rows_at_most: sets how many rows a batch may have from now on.
    """

    def __init__(
        self,
        options: GovernorOptions,
        observer: Observer,
        alarms: Alarms,
        report: Report,
        limiter: ConcurrencyLimiter,
        *,
        leases: VisibilityLeases,
        set_rows_at_most: Callable[[int], None],
    ) -> None:
        self._options = options
        self._observer = observer
        self._alarms = alarms
        self._report = report
        self._limiter = limiter
        self._leases = leases
        self._set_rows_at_most = set_rows_at_most
        self._desired = DesiredState()
        self._state = GovernorState.at_start(options)
        self._reading: Reading | None = None
        self._rate = 0.0
        limiter.set_limit(self._state.limit)
        set_rows_at_most(rows_for_cost(options, self._state.cost, self._state.limit))
        report.mode_is(self._desired.mode)

    @property
    def lag_seconds(self) -> float:
        """How late rows are by the newest reading; 0 before the first one."""
        return self._reading.lag_seconds if self._reading else 0.0

    async def run(self) -> None:
        """Read, decide and set, once a second."""
        async with asyncio.TaskGroup() as side:
            side.create_task(self._observer.run(), name="observer")
            await self._regulate()

    def apply(self, command: Command) -> None:
        """Apply an operator's command at once.

        Raises:
            CommandError: the command is invalid; nothing has changed.
        """
        bounds, before, limit_before = self._options, self._desired, self._limiter.limit
        desired = self._desired = desired_after(before, command, bounds.limit_at_least, bounds.limit_at_most)
        if desired.fixed_limit is not None and desired.fixed_limit != limit_before:
            self._limiter.set_limit(desired.fixed_limit)
            self._set_rows_at_most(rows_for_cost(bounds, self._state.cost, desired.fixed_limit))
        if desired.is_paused and not before.is_paused:
            self._limiter.pause()
            self._leases.pause("operator")
        if before.is_paused and not desired.is_paused:
            self._leases.resume("operator")
            self._limiter.resume()
        if desired.mode == "auto" and before.mode != "auto":
            fresh = GovernorState.at_start(self._options)
            self._state = msgspec.structs.replace(fresh, limit=self._limiter.limit)
        self._report.applied(command, desired, limit=self._limiter.limit, was=limit_before)

    def status(self) -> ControlStatus:
        """The whole state, for the control page."""
        bounds = self._options
        return self._report.status(
            self._desired,
            self._reading,
            limits=(bounds.limit_at_least, self._limiter.limit, bounds.limit_at_most),
            messages=(self._leases.messages_held, self._leases.messages_reserved),
        )

    async def _regulate(self) -> None:
        clock = asyncio.get_running_loop().time
        self._observer.begin(clock())
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            reading = self._reading = self._observer.read(clock())
            should_receive = self._observer.is_database_available and not self._desired.is_paused
            self._alarms.check(reading.taken_at, should_receive=should_receive)
            if self._desired.mode == "auto":
                self._state, decision = decide(self._options, self._state, reading)
                self._apply(reading, decision)
            self._set_budget(reading)

    def _apply(self, reading: Reading, decision: Decision) -> None:
        was = self._limiter.limit
        self._report.decided(decision, reading, was=was)
        self._set_rows_at_most(decision.batch_rows)
        if decision.limit != was:
            self._limiter.set_limit(decision.limit)

    def _set_budget(self, reading: Reading) -> None:
        """Two seconds of rows, but at least every batch that may be written, one that waits and one that grows.

        With less, long statements would starve the writers and lower the rate, and with it the budget, further.
        """
        self._rate += RATE_SMOOTHING * (reading.rows_per_second - self._rate)
        in_progress = (permits_for(self._limiter.limit) + 2) * self._options.batch_max_rows
        self._leases.set_budget(max(in_progress, int(BUDGET_SECONDS * self._rate)))
