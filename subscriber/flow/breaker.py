"""The circuit breaker in front of the database: it carries out what the table in health.py decides.

While the circuit is open, polling is paused and no write is tried. A probe asks the database with exponential backoff.
When the probe is answered, the batches that are already held are tried, and the first write that succeeds closes the
circuit: a database that answers a probe may still fail every write. One failure opens nothing. The circuit opens when
no write has succeeded for OPEN_AFTER_SECONDS after a failure, so that one locked row or one lost session among writes
that succeed stops nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from subscriber.errors import StoreError
from subscriber.flow.backoff import Backoff, is_power_of_two
from subscriber.flow.health import Action, Event, State, transition
from subscriber.flow.leases import VisibilityLeases
from subscriber.observe.log import get_logger

PROBE_BACKOFF = Backoff(first_seconds=0.25, max_seconds=2.0, jitter=0.5)
"""Between two probes. After a recovery the pipeline may still wait for the rest of such a delay and for one probe that
hangs; a probe costs one connection and one statement, or two."""

OPEN_AFTER_SECONDS = 1.0
"""The circuit opens when no write has succeeded for so long after a failure."""

PROBATION_SECONDS = 5.0
"""Probation ends when no write has failed for so long, even if none succeeded: a queue may bring no rows."""

HALF_OPEN_FAILURES_BEFORE_PROBATION = 3
"""After so many failed writes in the half-open state, polling resumes on probation: writes of other messages may prove
that one message is the cause."""

_log = get_logger()


class CircuitBreaker:
    """One per pipeline.

    Args:
        leases: paused while the circuit is open.
        report: called with 0 when the circuit opens and with 1 when it closes, for the metric.
    """

    def __init__(self, leases: VisibilityLeases, report: Callable[[float], None]) -> None:
        self._leases = leases
        self._report = report
        self.state = State.CLOSED
        self.probes_answered = 0
        """How often the database has answered a probe."""
        self._held_batches = 0
        self._opened_at = 0.0
        self._is_failing = False
        """Whether a write has failed and none has succeeded since."""
        self._last_failure = ("", "", "")
        """Treatment, reason and detail, for the log. Not the error itself: its traceback keeps a batch's messages."""
        self._half_open_failures = 0
        self._probes = 0
        self._is_stopping = False
        self._may_try = asyncio.Event()
        self._may_try.set()
        self._must_probe = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self.on_change: Callable[[], None] = lambda: None
        """Called when held writes may be tried, or must not wait any longer."""
        report(1)

    @property
    def is_unavailable(self) -> bool:
        """Whether the database counts as unavailable."""
        return not self.state.is_closed

    @property
    def is_stopping(self) -> bool:
        """Whether the pipeline drains."""
        return self._is_stopping

    @property
    def must_wait(self) -> bool:
        """Whether a write would have to wait for the probe now."""
        return not self._may_try.is_set()

    @asynccontextmanager
    async def holding_batch(self) -> AsyncIterator[None]:
        """Around the writes of one batch: while one is held, an answered probe alone does not close the circuit."""
        self._held_batches += 1
        try:
            yield
        finally:
            self._held_batches -= 1
            if not self._held_batches:
                self._apply(Event.LAST_BATCH_ENDED)

    async def wait_until_allowed(self) -> bool:
        """Wait until a write may be tried; False: the pipeline stops and the database is unavailable."""
        await self._may_try.wait()
        return not (self._is_stopping and self.is_unavailable)

    def stop(self) -> None:
        """The pipeline drains: from now on nothing waits for the database, whatever its state."""
        self._is_stopping = True
        self._may_try.set()
        self.on_change()

    def record_failure(self, error: StoreError) -> None:
        """A write failed."""
        self._last_failure = (error.treatment.value, error.word, str(error))
        if not self.state.is_closed:
            self._failed_while_open()
        elif not self._is_failing:
            self._is_failing = True
            self._set_timer(OPEN_AFTER_SECONDS, self._nothing_succeeded)

    def _failed_while_open(self) -> None:
        if self.state.is_open:
            return  # it began before the circuit opened: no probe had allowed it
        self._half_open_failures += 1
        again = self._half_open_failures == HALF_OPEN_FAILURES_BEFORE_PROBATION and self.state is State.HALF_OPEN
        self._apply(Event.FAILED_REPEATEDLY if again else Event.NOTHING_SUCCEEDS)

    def record_success(self) -> None:
        """A write succeeded: the database takes rows."""
        if not self._is_failing and self.state is State.CLOSED:
            return
        self._is_failing = False
        self._probes = self._half_open_failures = 0
        self._set_timer(None)
        self._apply(Event.WRITE_SUCCEEDED)

    async def run(self, ping: Callable[[], Awaitable[None]]) -> None:
        """Probe with `ping` while the circuit is open; runs until it is cancelled."""
        while True:
            await self._must_probe.wait()
            await asyncio.sleep(PROBE_BACKOFF.delay_seconds(self._probes + 1))
            self._probes += 1
            if self.state.is_open and await self._answers(ping) and self.state.is_open:
                self.probes_answered += 1
                self._apply(Event.PROBE_ANSWERED if self._held_batches else Event.PROBE_ANSWERED_IDLE)
                self.on_change()

    async def _answers(self, ping: Callable[[], Awaitable[None]]) -> bool:
        try:
            await ping()
        except StoreError as error:
            if is_power_of_two(self._probes):
                _log.warning("database.still_unavailable", reason=error.word, detail=str(error), probes=self._probes)
            return False
        return True

    def _nothing_succeeded(self) -> None:
        self._apply(Event.NOTHING_SUCCEEDS)

    def _apply(self, event: Event) -> None:
        before = self.state
        self.state, actions = transition(before, event)
        for action in actions:
            self._perform(action)
        if self.state is State.CLOSED_ON_PROBATION and before is not self.state:
            self._is_failing = False
            self._set_timer(PROBATION_SECONDS, lambda: self._apply(Event.PROBATION_PASSED))

    def _perform(self, action: Action) -> None:
        match action:
            case Action.PAUSE_POLLING:
                self._leases.pause()
            case Action.LIMIT_POLLING:
                self._leases.begin_probation()
            case Action.RESUME_POLLING:
                self._leases.resume()
            case Action.START_PROBING:
                self._must_probe.set()
                if not self._is_stopping:
                    self._may_try.clear()
            case Action.LET_WRITES_TRY:
                self._must_probe.clear()
                self._may_try.set()
            case Action.REPORT_UNAVAILABLE:
                self._report_unavailable()
            case Action.REPORT_AVAILABLE:
                self._report_available()

    def _report_unavailable(self) -> None:
        self._opened_at = asyncio.get_running_loop().time()
        self._half_open_failures = 0
        self._report(0)
        treatment, reason, detail = self._last_failure
        _log.error("database.unavailable", treatment=treatment, reason=reason, detail=detail)

    def _report_available(self) -> None:
        self._report(1)
        unavailable_seconds = asyncio.get_running_loop().time() - self._opened_at
        _log.info("database.available", unavailable_seconds=round(unavailable_seconds, 3))

    def _set_timer(self, seconds: float | None, call: Callable[[], None] = lambda: None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else asyncio.get_running_loop().call_later(seconds, call)
