"""What is tried next for a batch, and what the results mean: a plan without I/O, clock or event loop.

The rules:

1. Whatever can be stored is stored first: the whole batch, then the halves of a part that failed, each half before any
   part is tried a second time. A message whose rows and body are committed is finished at once.
2. A batch is repeated as it is only if its failure cannot be about a row: a lost connection, a deadlock. Any other
   failure bisects it at once. After a failure each half gets a fraction of the statement's time, so that all levels of
   halving together take no longer than one more statement. If the statement waited until its time was over, one
   question comes first: which rows do other sessions keep locked? If there are some, nothing is halved: one message
   about each is a suspect, as if it had failed alone, and the messages about none of them are stored together.
3. A message that fails alone is a *suspect*. It waits, without a permit, for evidence: rows of another message were
   stored since, or the breaker's probe was answered, or a comparison (a row of our own, written and rolled back)
   succeeded. Then it is tried again, alone.
4. A suspect that fails again after such a write or comparison is *poison*. If the failure is about a row, its body goes
   to the quarantine and its other rows are stored one by one; otherwise the queue delays it. A message's own rows are
   no evidence. An error that names a constraint of our own tables needs none.
5. A row whose message failed alone for another reason than its values, such as a lock, is remembered by the write
   stage (failing_rows.py): the messages about it are set apart from all others, here and in other batches, also in a
   statement that was planned before and had to wait. Of several rows of a message the first that fails alone counts.
6. An error of the whole server (full disk, too many connections, login) is never about a message.
"""

from __future__ import annotations

import functools
import math
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from subscriber.errors import StoreError, Treatment
from subscriber.model import Delivery, Message, ObjectEvent, Receipt, Rejection
from subscriber.pipeline.bodies import Bodies
from subscriber.pipeline.failing_rows import Apart, FailingRows, Version, version_of
from subscriber.pipeline.judgment import (
    DATABASE_BACKOFF,
    are_unstorable,
    bodies_again,
    is_poison,
    is_server_wide,
    repeated,
    takes_time,
)
from subscriber.pipeline.progress import Progress, is_still_ours
from subscriber.pipeline.steps import (
    Evidence,
    FindLockedRows,
    Note,
    QuarantineBodies,
    Step,
    StoreRows,
    Wait,
    halves,
    limit_after_failure,
    part_of,
)
from subscriber.pipeline.suspects import Suspects

LOOK_AGAIN_SECONDS = 0.1
"""Of messages that are set apart: by then another batch may know more about their row."""


class BatchPlan:
    """The plan of one batch: ask `next` what to do, do it, `record` what came of it, until there is no next step.

    Args:
        deliveries: the messages of the batch.
        rows: the fold of their events.
        statement_seconds: the write timeout.
        is_ours: whether a message may still be written at a moment; one that may not is dropped from what is tried.
        failing_rows: what all plans of the write stage know of; None: this is the only plan.
    """

    def __init__(
        self,
        deliveries: Sequence[Delivery],
        rows: Sequence[ObjectEvent],
        statement_seconds: float,
        is_ours: Callable[[Message, float], bool] = is_still_ours,
        failing_rows: FailingRows | None = None,
    ) -> None:
        self._deliveries = deliveries
        self._is_untouched = True
        """Whether no step has been recorded."""
        self._are_all_stored = False
        """Whether the first statement stored everything, as of nearly every batch: then nothing more is kept of it."""
        self._statement_seconds = statement_seconds
        self._is_ours = is_ours
        self._parts = deque([StoreRows(deliveries, rows)])
        self._question: FindLockedRows | None = None  # always the next step
        self._halves: list[tuple[StoreRows, StoreRows]] = []
        """Of parts that failed, the newest last: where both halves fail, one is followed to its row first. That sets
        the messages about the same row in the others apart."""
        self._failing_rows = FailingRows() if failing_rows is None else failing_rows
        self._apart = Apart(self._failing_rows)
        self._bodies = Bodies((one, one.rejection) for one in deliveries if one.rejection is not None)
        self._suspects = Suspects(self._failing_rows)
        self._poisoned: list[Progress] = []
        """Poison messages with rows that are still to be tried one by one."""
        self._notes: list[Note] = []

    @functools.cached_property
    def _progress(self) -> dict[str, Progress]:
        return {
            delivery.message.receipt_handle: Progress(delivery, delivery.rejection is not None)
            for delivery in self._deliveries
        }

    @property
    def unfinished(self) -> int:
        """How many messages have something that is not committed."""
        return 0 if self._are_all_stored else sum(not one.is_finished for one in self._progress.values())

    @property
    def unexplained(self) -> list[ObjectEvent | None]:
        """A row of each message that waits for evidence; None for bodies that the quarantine failed to store."""
        return [*(one.delivery.events[0] for one in self._suspects), *[None] * self._bodies.failed]

    def next(self, now: float, evidence: Evidence) -> Step | None:
        """What to do now; None once every message is finished or dropped."""
        planned = self._parts or self._halves or self._bodies or self._suspects or self._poisoned or self._question
        if not planned and not self._apart.deliveries:
            return None
        is_plain = self._is_untouched and not self._failing_rows.may_concern_others
        if is_plain and all(self._is_ours(one.message, now) for one in self._deliveries):
            return self._parts.popleft()
        self._drop_expired(now)
        self._take_from_apart(now)
        if self._question is not None:
            return self._question
        if not (self._parts or self._halves):
            self._failing_rows.end_search(self)
        for find in (self._due_part, self._due_single, self._due_bodies, self._due_suspect):
            step = find(now, evidence)
            if step is not None:
                return step
        return self._wait(now)

    def _wait(self, now: float) -> Wait | None:
        planned = [one.due for one in self._parts] + self._bodies.dues
        planned += [one.singles_due for one in self._poisoned]
        if self._apart.deliveries or self._halves:
            until = min((due for due in planned if due > now), default=math.inf)
            return Wait(min(until, now + LOOK_AGAIN_SECONDS), is_for_evidence=not (planned or self._halves))
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
        elif isinstance(step, StoreRows) and step.looks_for_row:
            self._record_row(step, error)
        elif isinstance(step, StoreRows) and not step.is_evidence:
            # Of a poison message: its body is kept, so nothing is lost whatever becomes of its other rows.
            self._record_single(step, error, now)
        elif isinstance(step, StoreRows):
            self._record_part(step, error, now, evidence)

    def reconsidered(self, step: StoreRows | QuarantineBodies) -> StoreRows | QuarantineBodies | None:
        """A step that had to wait, without the messages whose rows were found to fail meanwhile; None: it has none."""
        if isinstance(step, QuarantineBodies) or not self._failing_rows.may_concern_others:
            return step
        part = self._separated(step)
        return part if part.deliveries else None

    def record_locked(self, step: FindLockedRows, locked: frozenset[Version], now: float, evidence: Evidence) -> None:
        """Which rows of the part are locked, as far as is known: all messages about none of them go together next."""
        part, self._question = step.part, None
        others: list[Delivery] = []
        for one in part.deliveries:
            if not self._apart.separate([one]):
                continue  # about a failing row, perhaps one that another message has just named
            if rows := locked.intersection(map(version_of, one.events)):
                self._suspects.name_rows(one, rows, step.error.word)
                # No proof yet: a statement of ours may have held the row for that moment.
                self._suspects.add(one, part.limit_seconds, now, evidence)
            else:
                others.append(one)
        if len(others) == len(part.deliveries):
            self._failing_rows.begin_search(self)
            self._halves.append(halves(part))
        elif others:
            self._parts.appendleft(part_of(others, part.limit_seconds))

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
        self._failing_rows.end_search(self)
        self._suspects.forget_all()
        return tuple(self._reported(one, now) for one in self._progress.values() if not one.is_reported)

    def _take_all_stored(self) -> tuple[Receipt, ...]:
        deliveries, self._deliveries = (self._deliveries, ()) if self._are_all_stored else ((), self._deliveries)
        return tuple(Receipt(one.message, "stored") for one in deliveries)

    def _reported(self, progress: Progress, now: float) -> Receipt:
        progress.is_reported = True
        return progress.receipt(now)

    # ------------------------------------------------------------ what is due

    def _drop_expired(self, now: float) -> None:
        if all(self._is_ours(one.delivery.message, now) for one in self._progress.values() if not one.is_finished):
            return
        while self._halves:
            self._parts.extend(self._halves.pop())
        if self._question is not None:
            self._parts.appendleft(self._question.part)
            self._question = None
        self._parts = deque(part for one in self._parts if (part := self._still_ours(one, now)).deliveries)
        self._apart.deliveries = [one for one in self._apart.deliveries if self._is_ours(one.message, now)]
        self._suspects.keep(lambda delivery: self._is_ours(delivery.message, now))
        self._bodies.keep(lambda delivery: self._is_ours(delivery.message, now))
        self._poisoned = [one for one in self._poisoned if self._is_ours(one.delivery.message, now)]

    def _still_ours(self, part: StoreRows, now: float) -> StoreRows:
        ours = [one for one in part.deliveries if self._is_ours(one.message, now)]
        return part if len(ours) == len(part.deliveries) else part_of(ours, part.limit_seconds)

    def _take_from_apart(self, now: float) -> None:
        if not self._apart.deliveries:
            return
        limit = limit_after_failure(StoreRows(self._deliveries, ()), self._statement_seconds)
        if freed := self._apart.take_freed():
            self._parts.append(part_of(freed, limit))
        tried, delayed = self._apart.take_due(now)
        for one, word in delayed:
            self._progress[one.message.receipt_handle].failed = word
        if tried:
            self._parts.append(msgspec.structs.replace(part_of(tried, limit), is_trial=True))

    def _due_part(self, now: float, _evidence: Evidence) -> Step | None:
        while True:
            for _ in range(len(self._parts)):
                part = self._parts.popleft()
                if part.due > now:
                    self._parts.append(part)
                elif (part := self._separated(part)).deliveries:
                    return part
            if not self._halves or not self._failing_rows.may_search(self):
                return None
            self._parts.extend(self._halves.pop())

    def _separated(self, part: StoreRows) -> StoreRows:
        """The part without the messages about failing rows, which are set apart."""
        if part.is_trial or part.is_suspect or not part.is_evidence:
            return part
        if part.limit_seconds == math.inf and not self._failing_rows.may_search(self):
            # Another batch looks for a row: if this one has it too, it must not wait for it once more.
            part = msgspec.structs.replace(part, limit_seconds=limit_after_failure(part, self._statement_seconds))
        others = self._apart.separate(part.deliveries)
        if len(others) == len(part.deliveries):
            return part
        self._is_untouched = False
        left = part_of(others, part.limit_seconds)
        return msgspec.structs.replace(part, deliveries=left.deliveries, rows=left.rows)

    def _due_single(self, now: float, _evidence: Evidence) -> Step | None:
        for one in self._poisoned:
            if one.singles_due <= now:
                return StoreRows([one.delivery], one.singles[:1], is_evidence=False)
        return None

    def _due_bodies(self, now: float, _evidence: Evidence) -> Step | None:
        return self._bodies.take_due(now)

    def _due_suspect(self, now: float, evidence: Evidence) -> Step | None:
        return self._suspects.due(now, evidence)

    # ------------------------------------------------------------ what came of it

    def _record_part(self, part: StoreRows, error: StoreError | None, now: float, evidence: Evidence) -> None:
        if error is None:
            if self._suspects:
                self._suspects.remove(part.deliveries[0])
            if self._failing_rows:
                self._failing_rows.forget(map(version_of, part.rows))
            for one in part.deliveries:
                self._progress[one.message.receipt_handle].rows_stored = True
            return
        if part.is_trial:
            for one in part.deliveries:
                self._progress[one.message.receipt_handle].failed = error.word
            return
        again = repeated(part, error, now, evidence)
        if again is not None:
            self._parts.append(again)
            return
        limited = msgspec.structs.replace(part, limit_seconds=limit_after_failure(part, self._statement_seconds))
        if len(part.deliveries) > 1 and takes_time(error):
            self._question = FindLockedRows(limited, error)
        elif len(part.deliveries) > 1:
            self._halves.append(halves(limited))
        else:
            self._record_alone(limited, error, now, evidence)

    def _record_alone(self, part: StoreRows, error: StoreError, now: float, evidence: Evidence) -> None:
        delivery = part.deliveries[0]
        suspect = self._suspects.remove(delivery)
        if error.names_own_constraint:
            self._settle_poison(delivery, error)
            self._suspects.forget(delivery)
        elif suspect is None:
            self._look_for_row(part, error)
            self._suspects.add(delivery, part.limit_seconds, now, evidence)
        elif is_poison(suspect, error, evidence):
            self._settle_poison(delivery, error)
            self._suspects.prove(delivery, now)
        else:
            self._suspects.add_again(suspect, now, evidence)

    def _look_for_row(self, part: StoreRows, error: StoreError) -> None:
        """Of a message that failed alone: which of its rows it is, unless the error is about values or the server."""
        if error.treatment.concerns_row or is_server_wide(error):
            return
        if len(part.rows) == 1:
            self._suspects.name_rows(part.deliveries[0], [version_of(part.rows[0])], error.word)
            return
        look = StoreRows(part.deliveries, (), part.limit_seconds, is_evidence=False, looks_for_row=True)
        looks = [msgspec.structs.replace(look, rows=[row]) for row in part.rows]
        self._parts.extendleft(reversed(looks))

    def _record_row(self, look: StoreRows, error: StoreError | None) -> None:
        if error is None:
            return
        if not (error.treatment.concerns_row or is_server_wide(error)):
            self._suspects.name_rows(look.deliveries[0], [version_of(look.rows[0])], error.word)
        # One row is enough: each of the others might take its time as well.
        self._parts = deque(one for one in self._parts if not one.looks_for_row)

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
            self._bodies.keep(lambda other: other is not delivery)
            self._bodies.add(QuarantineBodies([(delivery, rejection)]))

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
            for entry in bodies.entries:
                self._bodies.add(QuarantineBodies([entry]))
        elif are_unstorable(bodies, error, evidence):
            deliveries = [delivery for delivery, _ in bodies.entries]
            self._notes.append(Note(deliveries, error, is_poison=False))
            for delivery in deliveries:
                self._progress[delivery.message.receipt_handle].failed = error.word
        else:
            self._bodies.add(bodies_again(bodies, now, evidence))
