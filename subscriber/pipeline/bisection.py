"""What is tried next for a batch, and what the results mean: a plan without I/O, clock or event loop.

The rules:

1. Whatever can be stored is stored first: the whole batch, then the halves of a part that failed, each half before any
   part is tried a second time. A message whose rows and body are committed is finished at once.
2. A batch is repeated as it is only if its failure cannot be about a row: a lost connection, a deadlock. Any other
   failure bisects it at once. After a failure each half gets a fraction of the statement's time, so that all levels of
   halving together take no longer than one more statement.
3. A message that fails alone is a *suspect*. It waits, without a permit, for evidence: rows of another message were
   stored since, or the breaker's probe was answered, or a comparison (a row of our own, written and rolled back)
   succeeded. Then it is tried again, alone.
4. A suspect that fails again after such a write or comparison is *poison*. If the failure is about a row, its body goes
   to the quarantine and its other rows are stored one by one; otherwise the queue delays it. A message's own rows are
   no evidence. An error that names a constraint of our own tables needs none.
5. An error of the whole server (full disk, too many connections, login) is never about a message.
"""

from __future__ import annotations

import functools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from subscriber.errors import StoreError, Treatment
from subscriber.flow.backoff import Backoff
from subscriber.model import Delivery, Message, ObjectEvent, Receipt, Rejection
from subscriber.pipeline.steps import (
    Evidence,
    Note,
    QuarantineBodies,
    Step,
    StoreRows,
    Suspect,
    Wait,
    halves,
    limit_after_failure,
    part_of,
)

CONFLICT_TRIES = 3
"""Of a batch that loses against another transaction, before it is bisected: a session may keep one row locked."""

TRIES_AS_IT_IS = 2
"""Of a batch whose failure cannot be about a row, before it is bisected all the same: a row may crash a server. A try
counts only if the database was seen to work since the last one, so an outage bisects nothing."""

TRIES_ALONE = 3
"""Of a suspect whose failure does not concern a row, before it is delayed: a session may lock its row for a moment."""

CONFLICT_BACKOFF = Backoff(first_seconds=0.05, max_seconds=1.0, jitter=1.0)
"""After a deadlock or a lost serialization race: the other transaction is over in a moment."""

DATABASE_BACKOFF = Backoff(first_seconds=0.5, max_seconds=5.0, jitter=0.5)
"""After any other failure, unless the breaker makes the write wait longer."""

SERVER_WIDE_SQLSTATES = ("53100", "53300", "28")
"""Never caused by a row: a full disk, too many connections, a login. A full disk still accepts rows that need no new
space, so their success proves nothing about a row that does."""

REPEATED_AS_IT_IS = frozenset({Treatment.RETRY, Treatment.RECONNECT, Treatment.CREDENTIALS, Treatment.STOP})


def is_server_wide(error: StoreError) -> bool:
    """Whether no message can be the reason, whatever becomes of others."""
    return error.treatment is Treatment.CREDENTIALS or (error.sqlstate or "").startswith(SERVER_WIDE_SQLSTATES)


def is_still_ours(message: Message, now: float) -> bool:
    """Whether `message` may be written at `now`, by the loop's clock; if not, other consumers may have it."""
    lease = message.lease
    return now < lease.expires_at and (not lease.expired or message.receipt_handle not in lease.expired)


def is_gone(message: Message, now: float) -> bool:
    """Whether it expired for good: a release under way may still fail, and is then to be repeated."""
    return not is_still_ours(message, now) and message.receipt_handle not in message.lease.releasing


def held_until(deliveries: Iterable[Delivery]) -> float:
    """When the last of these is released, by the loop's clock: then nothing is left to be tried."""
    return max((delivery.message.lease.held_until for delivery in deliveries), default=math.inf)


class _Progress(msgspec.Struct):
    """What has become of one message so far."""

    delivery: Delivery
    needs_quarantine: bool
    """Whether its body is to be kept: decode rejected something of it, or it is poison."""
    rows_stored: bool = False
    quarantined: Rejection | None = None
    """Set once the body is committed."""
    failed: str | None = None
    """Why neither index nor quarantine takes it, and other messages are taken."""
    singles: Sequence[ObjectEvent] = ()
    """Rows of a poison message that are still to be tried one by one."""
    singles_tries: int = 0
    singles_due: float = -math.inf
    is_reported: bool = False

    @property
    def is_finished(self) -> bool:
        """Rows and, where there is a rejection, the body: one without the other is not enough."""
        is_committed = self.rows_stored and (self.quarantined is not None or not self.needs_quarantine)
        return self.failed is not None or is_committed

    def receipt(self, now: float) -> Receipt:
        """The message's receipt, were the work to end now."""
        message = self.delivery.message
        if self.failed is None and self.is_finished:
            if self.quarantined is not None:
                return Receipt(message=message, verdict="quarantined", reason=self.quarantined.reason)
            return Receipt(message=message, verdict="stored")
        if is_gone(message, now):
            return Receipt(message=message, verdict="expired")
        if self.failed is not None:
            return Receipt(message=message, verdict="retry_later", reason=self.failed)
        return Receipt(message=message, verdict="released")


def is_poison(suspect: Suspect, error: StoreError, evidence: Evidence) -> bool:
    """Whether a suspect that failed once more is the cause, given what has been seen to work up to now."""
    may_tell = error.treatment.concerns_row or suspect.tries + 1 >= TRIES_ALONE
    return may_tell and not is_server_wide(error) and evidence.clears_database_since(suspect.seen)


class BatchPlan:
    """The plan of one batch: ask `next` what to do, do it, `record` what came of it, until there is no next step.

    Args:
        deliveries: the messages of the batch.
        rows: the fold of their events.
        statement_seconds: the write timeout.
        is_ours: whether a message may still be written at a moment; one that may not is dropped from what is tried.
    """

    def __init__(
        self,
        deliveries: Sequence[Delivery],
        rows: Sequence[ObjectEvent],
        statement_seconds: float,
        is_ours: Callable[[Message, float], bool] = is_still_ours,
    ) -> None:
        self._deliveries = deliveries
        self._is_untouched = True
        """Whether no step has been recorded."""
        self._are_all_stored = False
        """Whether the first statement stored everything, as of nearly every batch: then nothing more is kept of it."""
        self._statement_seconds = statement_seconds
        self._is_ours = is_ours
        self._parts = deque([StoreRows(deliveries, rows)])
        rejected = [(one, one.rejection) for one in deliveries if one.rejection is not None]
        self._bodies = deque([QuarantineBodies(rejected)] if rejected else [])
        self._suspects: deque[Suspect] = deque()
        self._poisoned: list[_Progress] = []
        """Poison messages with rows that are still to be tried one by one."""
        self._notes: list[Note] = []

    @functools.cached_property
    def _progress(self) -> dict[str, _Progress]:
        return {
            delivery.message.receipt_handle: _Progress(delivery, delivery.rejection is not None)
            for delivery in self._deliveries
        }

    @property
    def unfinished(self) -> int:
        """How many messages have something that is not committed."""
        return 0 if self._are_all_stored else sum(not one.is_finished for one in self._progress.values())

    @property
    def unexplained(self) -> list[ObjectEvent | None]:
        """A row of each message that waits for evidence; None for bodies that the quarantine failed to store."""
        return [*(one.delivery.events[0] for one in self._suspects), *(None for one in self._bodies if one.tries)]

    def next(self, now: float, evidence: Evidence) -> Step | None:
        """What to do now; None once every message is finished or dropped."""
        if not (self._parts or self._bodies or self._suspects or self._poisoned):
            return None
        if self._is_untouched and all(self._is_ours(one.message, now) for one in self._deliveries):
            return self._parts.popleft()
        self._drop_expired(now)
        for find in (self._due_part, self._due_single, self._due_bodies, self._due_suspect):
            step = find(now, evidence)
            if step is not None:
                return step
        return self._wait(now)

    def _wait(self, now: float) -> Wait | None:
        planned = [one.due for one in self._parts] + [one.due for one in self._bodies]
        planned += [one.singles_due for one in self._poisoned]
        if not planned and not self._suspects:
            return None
        dues = [*planned, *(one.due for one in self._suspects)]
        return Wait(min((due for due in dues if due > now), default=math.inf), is_for_evidence=not planned)

    def record(self, step: Step, error: StoreError | None, now: float, evidence: Evidence) -> None:
        """What came of `step`: None where it is committed."""
        if self._is_untouched and error is None and not self._bodies:
            self._are_all_stored = isinstance(step, StoreRows) and len(step.deliveries) == len(self._deliveries)
            if self._are_all_stored:
                return
        self._is_untouched = False
        if isinstance(step, QuarantineBodies):
            self._record_bodies(step, error, now, evidence)
        elif isinstance(step, StoreRows) and not step.is_evidence:
            # Of a poison message: its body is kept, so nothing is lost whatever becomes of its other rows.
            self._record_single(step, error, now)
        elif isinstance(step, StoreRows):
            self._record_part(step, error, now, evidence)

    def take_notes(self) -> list[Note]:
        """What was found out since this was last asked, for the log."""
        notes, self._notes = self._notes, []
        return notes

    def take_receipts(self) -> tuple[Receipt, ...]:
        """The receipts of the messages that were finished since this was last asked."""
        if self._is_untouched:
            return self._take_all_stored()
        return tuple(
            self._reported(one, 0.0) for one in self._progress.values() if one.is_finished and not one.is_reported
        )

    def remaining_receipts(self, now: float) -> tuple[Receipt, ...]:
        """The receipts of all others, when nothing more is tried: those that are not committed are released."""
        if self._are_all_stored:
            return self._take_all_stored()
        return tuple(self._reported(one, now) for one in self._progress.values() if not one.is_reported)

    def _take_all_stored(self) -> tuple[Receipt, ...]:
        deliveries, self._deliveries = (self._deliveries, ()) if self._are_all_stored else ((), self._deliveries)
        return tuple(Receipt(one.message, "stored") for one in deliveries)

    def _reported(self, progress: _Progress, now: float) -> Receipt:
        progress.is_reported = True
        return progress.receipt(now)

    # ------------------------------------------------------------ what is due

    def _drop_expired(self, now: float) -> None:
        if all(self._is_ours(one.delivery.message, now) for one in self._progress.values() if not one.is_finished):
            return
        self._parts = deque(part for one in self._parts if (part := self._still_ours(one, now)).deliveries)
        self._suspects = deque(one for one in self._suspects if self._is_ours(one.delivery.message, now))
        self._bodies = deque(self._bodies_where(lambda delivery: self._is_ours(delivery.message, now)))
        self._poisoned = [one for one in self._poisoned if self._is_ours(one.delivery.message, now)]

    def _still_ours(self, part: StoreRows, now: float) -> StoreRows:
        ours = [one for one in part.deliveries if self._is_ours(one.message, now)]
        return part if len(ours) == len(part.deliveries) else part_of(ours, part.limit_seconds)

    def _due_part(self, now: float, _evidence: Evidence) -> Step | None:
        for _ in range(len(self._parts)):
            part = self._parts.popleft()
            if part.due <= now:
                return part
            self._parts.append(part)
        return None

    def _due_single(self, now: float, _evidence: Evidence) -> Step | None:
        for one in self._poisoned:
            if one.singles_due <= now:
                return StoreRows([one.delivery], one.singles[:1], is_evidence=False)
        return None

    def _due_bodies(self, now: float, _evidence: Evidence) -> Step | None:
        for _ in range(len(self._bodies)):
            bodies = self._bodies.popleft()
            if bodies.due <= now:
                return bodies
            self._bodies.append(bodies)
        return None

    def _due_suspect(self, now: float, evidence: Evidence) -> Step | None:
        for suspect in self._suspects:
            if suspect.may_be_tried(now, evidence):
                return part_of([suspect.delivery], suspect.limit_seconds)
        return None

    # ------------------------------------------------------------ what came of it

    def _record_part(self, part: StoreRows, error: StoreError | None, now: float, evidence: Evidence) -> None:
        if error is None:
            if self._suspects:
                self._remove_suspect(part.deliveries[0])
            for one in part.deliveries:
                self._progress[one.message.receipt_handle].rows_stored = True
            return
        repeated = self._repeated(part, error, now, evidence)
        if repeated is not None:
            self._parts.append(repeated)
            return
        limited = msgspec.structs.replace(part, limit_seconds=limit_after_failure(part, self._statement_seconds))
        if len(part.deliveries) > 1:
            self._parts.extend(halves(limited))
        else:
            self._record_alone(limited, error, now, evidence)

    def _repeated(self, part: StoreRows, error: StoreError, now: float, evidence: Evidence) -> StoreRows | None:
        """The same part once more; None: look for the row. No part is repeated then, for its siblings would wait."""
        is_conflict = error.treatment is Treatment.RETRY
        counts = is_conflict or evidence != part.tried
        tries = part.tries + counts
        is_first = part.limit_seconds == math.inf and tries < (CONFLICT_TRIES if is_conflict else TRIES_AS_IT_IS)
        if not (is_first and (is_server_wide(error) or error.treatment in REPEATED_AS_IT_IS)):
            return None
        backoff = CONFLICT_BACKOFF if is_conflict else DATABASE_BACKOFF
        return msgspec.structs.replace(part, tries=tries, tried=evidence, due=now + backoff.delay_seconds(tries))

    def _remove_suspect(self, delivery: Delivery) -> Suspect | None:
        found = next((one for one in self._suspects if one.delivery is delivery), None)
        if found is not None:
            self._suspects.remove(found)
        return found

    def _record_alone(self, part: StoreRows, error: StoreError, now: float, evidence: Evidence) -> None:
        delivery = part.deliveries[0]
        suspect = self._remove_suspect(delivery)
        if error.names_own_constraint:
            self._settle_poison(delivery, error)
        elif suspect is None:
            self._suspects.append(Suspect(delivery, part.limit_seconds, seen=evidence, tried=evidence, due=now))
        elif is_poison(suspect, error, evidence):
            self._settle_poison(delivery, error)
        else:
            due = now + DATABASE_BACKOFF.delay_seconds(suspect.tries)
            self._suspects.append(msgspec.structs.replace(suspect, tried=evidence, due=due, tries=suspect.tries + 1))

    def _settle_poison(self, delivery: Delivery, error: StoreError) -> None:
        progress = self._progress[delivery.message.receipt_handle]
        self._notes.append(Note([delivery], error, is_poison=True))
        if not error.treatment.concerns_row:
            progress.failed = error.word
            return
        progress.singles = delivery.events if len(delivery.events) > 1 else ()
        progress.rows_stored = not progress.singles
        if progress.singles:
            self._poisoned.append(progress)
        progress.needs_quarantine = True
        if progress.quarantined is None:
            rejection = delivery.rejection or Rejection(reason=error.word, detail=error.detail)
            self._bodies = deque(self._bodies_where(lambda other: other is not delivery))
            self._bodies.append(QuarantineBodies([(delivery, rejection)]))

    def _bodies_where(self, keep: Callable[[Delivery], bool]) -> Iterator[QuarantineBodies]:
        for bodies in self._bodies:
            entries = [entry for entry in bodies.entries if keep(entry[0])]
            if entries:
                yield msgspec.structs.replace(bodies, entries=entries)

    def _record_single(self, step: StoreRows, error: StoreError | None, now: float) -> None:
        progress = self._progress[step.deliveries[0].message.receipt_handle]
        if error is None or error.treatment.concerns_row:
            progress.singles = progress.singles[1:]
            progress.singles_tries = 0
            progress.rows_stored = not progress.singles
            if progress.rows_stored:
                self._poisoned.remove(progress)
        else:
            progress.singles_tries += 1
            progress.singles_due = now + DATABASE_BACKOFF.delay_seconds(progress.singles_tries)

    def _record_bodies(
        self, bodies: QuarantineBodies, error: StoreError | None, now: float, evidence: Evidence
    ) -> None:
        if error is None:
            for delivery, rejection in bodies.entries:
                self._progress[delivery.message.receipt_handle].quarantined = rejection
        elif error.treatment is Treatment.BISECT and len(bodies.entries) > 1:
            self._bodies.extend(QuarantineBodies([entry]) for entry in bodies.entries)
        elif error.treatment is Treatment.BISECT or (
            bodies.seen is not None and evidence.clears_database_since(bodies.seen)
        ):
            deliveries = [delivery for delivery, _ in bodies.entries]
            self._notes.append(Note(deliveries, error, is_poison=False))
            for delivery in deliveries:
                self._progress[delivery.message.receipt_handle].failed = error.word
        else:
            due = now + DATABASE_BACKOFF.delay_seconds(bodies.tries + 1)
            self._bodies.append(
                msgspec.structs.replace(bodies, tries=bodies.tries + 1, due=due, seen=bodies.seen or evidence)
            )
