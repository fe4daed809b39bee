"""Seeded fault injection for the emulator; without a `FaultPlan` nothing fails.

A test sets a `FaultPlan` and later an empty one. Faults apply only to clients that sign with one of the plan's
`accepted_keys`. A client with the server's own key pair stays unaffected, so that the test can control and observe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from testkit.sqs import errors
from testkit.sqs.message import StoredMessage
from testkit.sqs.shapes import FaultPlan
from testkit.sqs.store import Queue

CALL_FAILURES = {
    "internal": errors.INTERNAL_FAILURE,
    "unavailable": errors.SERVICE_UNAVAILABLE,
    "throttled": errors.REQUEST_THROTTLED,
}
"""The values of `FaultPlan.failure`."""

_CODE_OF_FAILED_ENTRY = "InternalError"
_POSTPONED_SECONDS = (0.2, 2.0)


class Faults:
    """The active plan and its random generator."""

    def __init__(self) -> None:
        self._plan = FaultPlan()
        self._random = Random(0)

    @property
    def plan(self) -> FaultPlan:
        """The active plan."""
        return self._plan

    def set(self, plan: FaultPlan) -> None:
        """Activate a plan.

        Raises:
            errors.RejectedError: InvalidParameterValue, for an unknown kind of failure.
        """
        if plan.failure not in CALL_FAILURES:
            raise errors.INVALID_PARAMETER.because(f"Failure is one of {', '.join(CALL_FAILURES)}.")
        self._plan = plan
        self._random = Random(plan.seed)

    def fail_call(self) -> None:
        """Fail the planned share of calls before they have an effect.

        Raises:
            errors.RejectedError: with the plan's kind of failure.
        """
        if self._happens(self._plan.failed_call_share):
            raise CALL_FAILURES[self._plan.failure].because("A fault was injected into this call.")

    def loses_answer(self) -> bool:
        """Whether to drop the connection instead of answering a call that had its effect."""
        return self._happens(self._plan.lost_answer_share)

    def fail_entry(self) -> None:
        """Fail the planned share of entries of batches that are answered with 200.

        Raises:
            errors.RejectedError: as a fault of the service.
        """
        if self._happens(self._plan.failed_entry_share):
            raise errors.Fault("", _CODE_OF_FAILED_ENTRY, 500).because("A fault was injected into this entry.")

    def forgets_delete(self) -> bool:
        """Whether a delete succeeds without an effect, as one with an outdated receipt handle does."""
        return self._happens(self._plan.forgotten_delete_share)

    def visibility_seconds(self, asked: int) -> int:
        """The visibility timeout that a receive really gets, in seconds."""
        most = self._plan.visibility_seconds_at_most
        return asked if most is None else min(asked, most)

    def limit_in_flight(self, queue: Queue, usual: int) -> None:
        """Set the queue's in-flight limit to the plan's, or to the usual one."""
        queue.in_flight_limit = usual if self._plan.in_flight_limit is None else self._plan.in_flight_limit

    def delivered(self, queue: Queue, received: Sequence[StoredMessage], now: float) -> list[StoredMessage]:
        """The messages to deliver now; the planned share is postponed and its receive is not counted."""
        if not self._plan.postponed_share:
            return list(received)
        kept = []
        for message in received:
            if self._happens(self._plan.postponed_share):
                queue.postpone(message, now + self._random.uniform(*_POSTPONED_SECONDS))
            else:
                kept.append(message)
        return kept

    def redeliver(self, queue: Queue, received: Sequence[StoredMessage], now: float) -> None:
        """Make the planned share of the received messages visible at once, so that they are received twice."""
        if self._plan.duplicate_share:
            again = [message for message in received if self._happens(self._plan.duplicate_share)]
            for message in again:
                queue.change_visibility(queue.handle_of(message), 0, now)

    def later(self, loop_call_later: Callable[..., object], send: Callable[[], None]) -> None:
        """Send an answer after the planned delay."""
        if self._plan.delay_seconds:
            loop_call_later(self._random.uniform(0, 2 * self._plan.delay_seconds), send)
        else:
            send()

    def _happens(self, share: float) -> bool:
        return share > 0 and self._random.random() < share
