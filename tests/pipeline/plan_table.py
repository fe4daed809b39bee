"""A plan and a database that answers by a rule: no loop, no clock, no store."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from subscriber.errors import StoreError, Treatment
from subscriber.events.order import fold
from subscriber.model import Delivery
from subscriber.pipeline.bisection import BatchPlan
from subscriber.pipeline.failing_rows import version_of
from subscriber.pipeline.steps import (
    Evidence,
    FindLockedRows,
    QuarantineBodies,
    Step,
    StoreRows,
    Wait,
)
from tests.fakes.samples import put
from tests.fakes.store import store_error

STATEMENT_SECONDS = 29.0
TIMEOUT = store_error(Treatment.BACK_OFF, "57014")


class Table:
    """A plan, and a database that answers by a rule and takes no time but what its failures take."""

    def __init__(self, deliveries: Sequence[Delivery], fails: Callable[[StoreRows], StoreError | None]) -> None:
        self.deliveries = deliveries
        rows = fold(event for one in deliveries for event in one.events)
        self.plan = BatchPlan(deliveries, rows, STATEMENT_SECONDS)
        self.fails = fails
        self.quarantine_fails: StoreError | None = None
        self.locked: set[str] = set()
        """Keys of rows that another session is seen to keep locked."""
        self.now = 0.0
        self.evidence = Evidence()
        self.tried: list[Step] = []
        self.stored: set[str] = set()
        self.stored_at: dict[str, float] = {}
        self.verdicts: dict[str, tuple[str, str]] = {}

    def step(self) -> Step | None:
        """One step of the plan, carried out."""
        step = self.plan.next(self.now, self.evidence)
        if isinstance(step, FindLockedRows):
            self.tried.append(step)
            found = frozenset(version_of(row) for row in step.part.rows if row.key in self.locked)
            self.plan.record_locked(step, found, self.now, self.evidence)
        elif step is not None and not isinstance(step, Wait):
            self.tried.append(step)
            error = self._answer(step)
            self.plan.record(step, error, self.now, self.evidence)
        for one in self.plan.take_receipts():
            self.verdicts[one.message.message_id] = (one.verdict, one.reason)
        return step

    def _answer(self, step: StoreRows | QuarantineBodies) -> StoreError | None:
        if isinstance(step, QuarantineBodies):
            return self.quarantine_fails
        error = self.fails(step) if step.rows else None
        if error is None and step.rows:
            self.stored.update(row.key for row in step.rows)
            for one in step.deliveries:
                self.stored_at.setdefault(one.message.message_id, self.now)
            if step.is_evidence:
                self.evidence = Evidence(self.evidence.writes + 1, self.evidence.comparisons, self.evidence.probes)
        elif error is not None and error.sqlstate == "57014":
            self.now += min(step.limit_seconds, STATEMENT_SECONDS)
        return error

    def run(self, steps: int = 10_000) -> Step | None:
        """Steps until nothing is left, or only new evidence would help; waits for what is due in between."""
        for _ in range(steps):
            step = self.step()
            if step is None or (isinstance(step, Wait) and step.until == math.inf):
                return step
            if isinstance(step, Wait):
                self.now = step.until
        raise AssertionError("the plan never ends")

    def compared(self) -> None:
        """A row of our own was written and rolled back."""
        self.evidence = Evidence(self.evidence.writes, self.evidence.comparisons + 1, self.evidence.probes)

    def verdict_of(self, one: Delivery) -> tuple[str, str]:
        """Verdict and reason so far."""
        return self.verdicts.get(one.message.message_id, ("", ""))


def failing_for(key: str, error: StoreError) -> Callable[[StoreRows], StoreError | None]:
    """Every statement that holds this key fails."""
    return lambda step: error if any(row.key == key for row in step.rows) else None


def many(count: int) -> list[Delivery]:
    """So many messages, each about an object of its own."""
    return [put(f"{number:04}") for number in range(count)]


def sizes(table: Table) -> list[int]:
    """How many messages each statement had so far."""
    return [len(step.deliveries) for step in table.tried if isinstance(step, StoreRows)]
