"""Without a load source: what the times of our own statements say about the limit. Pure, of constant size.

The time of a row under the limit in force is compared with the best mean so far. While it does not rise with the limit,
the database has capacity for the next writer. Where it rises, statements wait for each other, and a larger limit brings
load instead of rows. That is the signal of TCP Vegas (Brakmo and Peterson, IEEE JSAC 13(8), 1995) and of Netflix's
Gradient2, here per row, because a larger batch takes longer without any congestion.

The best mean does not expire: one that expires during a long backlog is replaced by a congested one, and the limit then
drifts upwards. A cut is the test instead. Times that do not fall with the limit are not the limit's doing, and become
the new best. So rows that become dearer for good, or a best that was too good to be true, cost one series of cuts.

A single writer never waits for itself. So below a limit of one the times show only what others do: each statement
allows a step, and a mean counts statements across several steps.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from subscriber.control.reading import Reading

STATEMENTS_BELOW_ONE: Final = 8
STATEMENTS_FROM_ONE: Final = 16
"""Of one mean: statements that vary by 15 % leave 5 and 4 %."""

STATEMENTS_LONG: Final = 4.0
"""A mean covers so many statement times under one limit: at most a quarter of it began under the limit before."""

SLOW_RATIO: Final = 1.25
"""No growth from here on: a fifth of a statement's time is waiting."""

CONGESTED_RATIO: Final = 1.4
"""A cut from here on. Between the two the limit stays, so that noise moves nothing."""

CROWDED_RATIO: Final = 2.0
"""Both, below a limit of one, where only others can make rows slow: rows wait for them as long as they are worked on.
Quick statements on a busy host vary by half from second to second."""

SLOW_SECONDS: Final = 600.0
"""A cut also after so long between the two, as a test. And the best is replaced at most so often: in a fleet the cuts
of one task hardly show in its times, and each that replaces its best then allows it a larger load."""

CUT_AT_LEAST: Final = 0.5
CUT_AT_MOST: Final = 0.9
"""Bounds of the factor of one cut."""

TESTED_TO: Final = 0.3
"""A series of cuts has this part of the limit left when it ends without effect: its effect would show."""

OTHERS_SECONDS: Final = 5.0
"""From a cut to the mean that shows its effect: the other tasks of a fleet, which see the same, have cut by then."""

OWN_SHARE: Final = 0.25
"""Times that fall by less than this part of the cuts, in logarithms, are not the limit's doing. On a saturated database
the whole part shows, on an idle one none."""

FACTOR_BELOW_ONE: Final = 1.25
FACTOR_FROM_ONE: Final = 1.15
"""One step up: fourteen steps lead from a twentieth to one writer, fifteen from one to eight."""


class CutTest(msgspec.Struct, frozen=True):
    """A series of cuts for slow rows."""

    ratio: float
    """Before the first cut."""
    ends_below: float
    """The ratio from which on rows are quick enough again."""
    left: float = 1.0
    """Part of the limit that is left, 0 to 1."""

    def is_answered_by(self, ratio: float) -> bool:
        """Whether rows are quick enough again, or have become quicker with the limit."""
        return ratio < self.ends_below or math.log(self.ratio / ratio) >= -OWN_SHARE * math.log(self.left)


class OwnTimes(msgspec.Struct, frozen=True):
    """The statements under the limit in force, and the best before."""

    set_at: float = -math.inf
    """When the limit in force was set, loop's clock."""
    was_reached: bool = False
    """Whether a batch has waited for the limiter since."""
    ended: int = 0
    """Statements that have ended since."""
    statements: int = 0
    """Of the mean in progress."""
    seconds: float = 0.0
    rows: float = 0.0
    ratio: float = 1.0
    """Time of a row, newest mean to best."""
    is_measured: bool = False
    """Whether that mean was taken under the limit in force."""
    slow_since: float | None = None
    """Since when the means have been slow."""
    best_statement_seconds: float = math.inf
    best_row_seconds: float = math.inf
    replaced_at: float = -math.inf
    """When slower times last became the best."""
    test: CutTest | None = None
    """The series of cuts whose effect is not known yet."""

    def with_second(self, seen: Reading, limit: float) -> OwnTimes:
        """The same with one reading more, taken under `limit`."""
        was_reached = self.was_reached or seen.limit_reached
        is_settling = self.test is not None and seen.taken_at - self.set_at < OTHERS_SECONDS
        if seen.statement_seconds is None or seen.rows_per_statement <= 0 or is_settling:
            return msgspec.structs.replace(self, was_reached=was_reached)
        statements = max(1, seen.statements)
        after = msgspec.structs.replace(
            self,
            was_reached=was_reached,
            ended=self.ended + statements,
            statements=self.statements + statements,
            seconds=self.seconds + statements * seen.statement_seconds,
            rows=self.rows + statements * seen.rows_per_statement,
        )
        return after.compared(seen.taken_at) if after.is_mean(seen.taken_at, limit) else after

    def with_limit(self, limit: float, now: float) -> OwnTimes:
        """The same under another limit: the mean begins anew, but below one, where the limit does not change times."""
        kept = self if limit < 1 and self.test is None else OwnTimes()
        return msgspec.structs.replace(
            self,
            set_at=now,
            was_reached=False,
            ended=0,
            statements=kept.statements,
            seconds=kept.seconds,
            rows=kept.rows,
            is_measured=kept.is_measured,
            slow_since=kept.slow_since,
        )

    def with_cut(self, limit: float, was: float, now: float) -> OwnTimes:
        """The same under a limit that was lowered because rows are slow; where it cannot fall, the test is over."""
        congested = congested_ratio(was)
        test = self.test or CutTest(self.ratio, congested if self.ratio >= congested else SLOW_RATIO)
        left = test.left * (limit / was if limit < was else TESTED_TO)
        return msgspec.structs.replace(self, test=msgspec.structs.replace(test, left=left)).with_limit(limit, now)

    def is_evidence_at(self, limit: float) -> bool:
        """Whether enough has been seen under this limit to raise it."""
        return self.is_measured or (limit < 1 and self.ended > 0 and self.test is None)

    def is_slow_at(self, limit: float) -> bool:
        """Whether rows are so slow under this limit that it must not grow."""
        return self.is_measured and self.ratio >= (CROWDED_RATIO if limit < 1 else SLOW_RATIO)

    def is_congested_at(self, limit: float, now: float) -> bool:
        """Whether they are so slow, or slow for so long, that it must fall."""
        lasts = self.slow_since is not None and now - self.slow_since >= SLOW_SECONDS
        return self.is_slow_at(limit) and (self.ratio >= congested_ratio(limit) or lasts or self.test is not None)

    def is_mean(self, now: float, limit: float) -> bool:
        """Whether the statements since the last mean, or since the limit was set, make a new one."""
        if limit < 1:
            return self.statements >= STATEMENTS_BELOW_ONE
        is_long = now - self.set_at >= STATEMENTS_LONG * self.seconds / self.statements
        return is_long and self.statements >= STATEMENTS_FROM_ONE

    def compared(self, now: float) -> OwnTimes:
        """The same with the mean compared to the best, and a new one begun.

        The expected time is the longer of the best statement and its own rows at the best time of a row, because part
        of a statement's time does not depend on its rows.
        """
        statement, row = self.seconds / self.statements, self.seconds / self.rows
        expected = max(self.best_statement_seconds, self.best_row_seconds * self.rows / self.statements)
        ratio = statement / expected if 0 < expected < math.inf else 1.0
        test = None if self.test is None or self.test.is_answered_by(ratio) else self.test
        may_replace = test is not None and test.left <= TESTED_TO and now - self.replaced_at >= SLOW_SECONDS
        ratio = 1.0 if may_replace else ratio
        since = self.slow_since if self.slow_since is not None else now
        return msgspec.structs.replace(
            self,
            statements=0,
            seconds=0.0,
            rows=0.0,
            ratio=ratio,
            is_measured=True,
            slow_since=since if ratio >= SLOW_RATIO else None,
            best_statement_seconds=statement if may_replace else min(self.best_statement_seconds, statement),
            best_row_seconds=row if may_replace else min(self.best_row_seconds, row),
            replaced_at=now if may_replace else self.replaced_at,
            test=None if may_replace else test,
        )


def congested_ratio(limit: float) -> float:
    """The ratio from which on the limit falls."""
    return CROWDED_RATIO if limit < 1 else CONGESTED_RATIO


def raised(limit: float) -> float:
    """The limit after one step up."""
    return limit * (FACTOR_BELOW_ONE if limit < 1 else FACTOR_FROM_ONE)


def lowered(limit: float, ratio: float) -> float:
    """The limit after one cut: so far that rows would be as quick as growth allows, within the bounds of a cut."""
    return limit * min(CUT_AT_MOST, max(CUT_AT_LEAST, SLOW_RATIO / ratio))
