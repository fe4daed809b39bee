"""The circuit breaker in front of the database: closed, open or half-open, with a probe and a probation.

The first failure that no row caused opens the circuit; a deadlock or lock timeout counts as one only after 20 attempts
(pipeline/retrying_store.py). Polling pauses, writes wait, and a probe pings the database with exponential backoff. A
ping that succeeds makes the circuit half-open: the batches that are already held are retried. The first write that
succeeds closes it; a ping proves less, because a database that answers a ping may still fail every write. Where no
batch is held, the ping alone closes the circuit, but polling starts on *probation*: each queue receives few messages
until a write succeeds. Otherwise, while a database fails every write for hours, each message of the queue would be
received again and again until it reaches the dead-letter queue. Probation also begins after repeated failures in the
half-open state: one poison message may be the cause, and only writes of other messages can prove it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from subscriber.errors import StoreError
from subscriber.flow.backoff import Backoff, is_power_of_two
from subscriber.flow.leases import VisibilityLeases
from subscriber.observe.log import get_logger

PROBE_BACKOFF = Backoff(first_seconds=0.25, max_seconds=2.0, jitter=0.5)
"""Between two probes. After a recovery the pipeline may still wait for the rest of such a delay and for one ping that
hangs; a probe costs one connection and one statement."""

HALF_OPEN_FAILURES_BEFORE_PROBATION = 3
"""After so many failed writes in the half-open state, polling resumes on probation."""

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
        self._batches_held = 0
        self._opened_at: float | None = None
        self._failed_since_success = False
        """Whether a write has failed since the last success."""
        self._is_stopping = False
        self._probes = 0
        self._half_open_failures = 0
        """Failures, since the circuit opened, of writes that an answered probe had allowed."""
        self._writes_allowed = asyncio.Event()
        self._writes_allowed.set()
        self._probe_needed = asyncio.Event()
        report(1)

    @property
    def is_unavailable(self) -> bool:
        """Whether the database counts as unavailable: the circuit is open or half-open."""
        return self._opened_at is not None

    @asynccontextmanager
    async def holding_batch(self) -> AsyncIterator[None]:
        """Around the writes of one batch, whose success could close the circuit."""
        self._batches_held += 1
        try:
            yield
        finally:
            self._batches_held -= 1
            if self.is_unavailable and not self._batches_held:
                self._probe_needed.set()  # no batch is left whose success could close the circuit: probe again

    @property
    def must_wait(self) -> bool:
        """Whether a write has to wait for the probe now."""
        return not self._writes_allowed.is_set()

    async def wait_until_allowed(self) -> bool:
        """Wait until a write may be tried; False: the pipeline stops and the database is unavailable."""
        await self._writes_allowed.wait()
        return not (self._is_stopping and self.is_unavailable)

    def stop(self) -> None:
        """The pipeline drains: from now on nothing waits for the database, whatever its state."""
        self._is_stopping = True
        self._writes_allowed.set()

    def record_failure(self, error: StoreError) -> None:
        """A write failed for a reason that is not its row: open the circuit, pause polling, start the probe.

        A deadlock or lock timeout is recorded only after 20 attempts; until then it is a transient conflict.
        """
        self._failed_since_success = True
        if self._opened_at is None:
            self._opened_at = asyncio.get_running_loop().time()
            self._report(0)
            self._half_open_failures = 0
            self._leases.pause()
            _log.error("database.unavailable", treatment=error.treatment.value, reason=error.word, detail=str(error))
        elif self._writes_allowed.is_set():
            self._half_open_failures += 1
            if self._half_open_failures == HALF_OPEN_FAILURES_BEFORE_PROBATION:
                self._leases.begin_probation()
        if not self._is_stopping:
            self._writes_allowed.clear()
        self._probe_needed.set()

    def record_success(self) -> None:
        """A write succeeded: close the circuit and end the probation."""
        if not self._failed_since_success:
            return
        self._failed_since_success = False
        self._probes = 0
        self._close()
        self._leases.resume()

    def _close(self) -> None:
        if self._opened_at is None:
            return
        seconds = asyncio.get_running_loop().time() - self._opened_at
        self._opened_at = None
        self._probe_needed.clear()
        self._writes_allowed.set()
        self._report(1)
        _log.info("database.available", unavailable_seconds=round(seconds, 3))

    async def run(self, ping: Callable[[], Awaitable[None]]) -> None:
        """Probe with `ping` while the circuit is open; runs until it is cancelled."""
        while True:
            await self._probe_needed.wait()
            await asyncio.sleep(PROBE_BACKOFF.delay_seconds(self._probes + 1))
            self._probes += 1
            if self._probe_needed.is_set() and await self._answers(ping):
                self._probe_needed.clear()
                self._writes_allowed.set()
                if self.is_unavailable and not self._batches_held:
                    self._close()
                    self._leases.begin_probation()

    async def _answers(self, ping: Callable[[], Awaitable[None]]) -> bool:
        try:
            await ping()
        except StoreError as error:
            if is_power_of_two(self._probes):
                _log.warning("database.still_unavailable", reason=error.word, detail=str(error), probes=self._probes)
            return False
        return True
