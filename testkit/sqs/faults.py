"""What can go wrong with a queue service, done on purpose and by a seed; nothing of it unless it is asked for.

Whoever runs the lab sets a `FaultPlan` and later an empty one. The server's own pair of keys is spared, so that the
one who sets faults can go on looking: the faults meet those who come with `accepted_keys`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from testkit.sqs import errors
from testkit.sqs.message import StoredMessage
from testkit.sqs.shapes import FaultPlan
from testkit.sqs.store import Queue

REFUSALS = {
    "internal": errors.INTERNAL_FAILURE,
    "unavailable": errors.SERVICE_UNAVAILABLE,
    "throttled": errors.REQUEST_THROTTLED,
}
"""What `FaultPlan.refusal` may say."""

_CODE_OF_FAILED_ENTRY = "InternalError"
_POSTPONED_SECONDS = (0.2, 2.0)


class Faults:
    """The plan that holds now, and the dice."""

    def __init__(self) -> None:
        self._plan = FaultPlan()
        self._random = Random(0)

    @property
    def plan(self) -> FaultPlan:
        """What holds now."""
        return self._plan

    def set(self, plan: FaultPlan) -> None:
        """Let this hold from now on.

        Raises:
            errors.Refused: InvalidParameterValue, for a refusal nobody knows.
        """
        if plan.refusal not in REFUSALS:
            raise errors.INVALID_PARAMETER.because(f"Refusal is one of {', '.join(REFUSALS)}.")
        self._plan = plan
        self._random = Random(plan.seed)

    def refuse(self) -> None:
        """Refuse a call before it has an effect, now and then.

        Raises:
            errors.Refused: with what the plan names.
        """
        if self._happens(self._plan.refused_share):
            raise REFUSALS[self._plan.refusal].because("The lab was asked to refuse some calls.")

    def loses_answer(self) -> bool:
        """Whether the answer to a call that had its effect never arrives."""
        return self._happens(self._plan.lost_answer_share)

    def fail_entry(self) -> None:
        """Refuse one entry of a batch that is answered with 200, now and then.

        Raises:
            errors.Refused: as a fault of the service.
        """
        if self._happens(self._plan.failed_entry_share):
            raise errors.Fault("", _CODE_OF_FAILED_ENTRY, 500).because("The lab was asked to fail some entries.")

    def forgets_delete(self) -> bool:
        """Whether a delete is answered as done and has no effect, as one with a handle that has been outdated."""
        return self._happens(self._plan.forgotten_delete_share)

    def visibility_seconds(self, asked: int) -> int:
        """For how long a receive really hides its messages."""
        most = self._plan.visibility_seconds_at_most
        return asked if most is None else min(asked, most)

    def limit_in_flight(self, queue: Queue, usual: int) -> None:
        """Let the wall stand where the plan wants it."""
        queue.in_flight_limit = usual if self._plan.in_flight_limit is None else self._plan.in_flight_limit

    def passed_on(self, queue: Queue, received: Sequence[StoredMessage], now: float) -> list[StoredMessage]:
        """Those of a receive that are handed out; the others come later, as if nobody had asked."""
        if not self._plan.postponed_share:
            return list(received)
        kept = []
        for message in received:
            if self._happens(self._plan.postponed_share):
                queue.postpone(message, now + self._random.uniform(*_POSTPONED_SECONDS))
            else:
                kept.append(message)
        return kept

    def show_again(self, queue: Queue, received: Sequence[StoredMessage], now: float) -> None:
        """Let some of what was just handed out be received by others too, while it is still at work."""
        if self._plan.duplicate_share:
            again = [message for message in received if self._happens(self._plan.duplicate_share)]
            for message in again:
                queue.change_visibility(queue.handle_of(message), 0, now)

    def later(self, loop_call_later: Callable[..., object], send: Callable[[], None]) -> None:
        """Send an answer when its time has come."""
        if self._plan.delay_seconds:
            loop_call_later(self._random.uniform(0, 2 * self._plan.delay_seconds), send)
        else:
            send()

    def _happens(self, share: float) -> bool:
        return share > 0 and self._random.random() < share
