"""What the governor is given, what it remembers, and what it answers."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from subscriber.control.governor.memory import RowTime, Work
from subscriber.control.governor.prediction import Mean, RowCost

Reason: TypeAlias = Literal[
    "failures",  # down: statements failed for the database's reasons
    "slow",  # down: statements took as long as no statement should
    "slow_rows",  # down: a row took twice its best of late, and the sensor has not yet told
    "above_ceiling",  # down: the CPU, as predicted for the limit in force, is above the ceiling
    "below_ceiling",  # up: it is below, and batches waited for the limiter
    "sharing",  # a little up or down: inside the dead band the tasks of a fleet drift to equal shares
    "steady",  # as it is: inside the dead band, or at its bound
    "not_needed",  # as it is: there is room, but no batch waited for the limiter
    "at_ceiling",  # as it is: there would be room by the prediction, but the reading itself shows none
    "unmeasured",  # as it is: what a larger limit would cost is not known yet
    "braked",  # as it is: something hurt moments ago, or rows are still slow
    "outage",  # as it is: nothing has succeeded since something failed
    "no_news",  # as it is: the sensor has said nothing new since the last decision
    "signal_lost",  # as it is: it has said nothing for too long, growth is frozen
    "fallback",  # the sensor is given up for now: write time alone, under a conservative cap
    "recovering",  # up, without a sensor by choice: nothing hurts
]
"""Why the limit is what it is."""


class GovernorOptions(msgspec.Struct, frozen=True):
    """Bounds, and what they are bounds of."""

    limit_at_least: float
    limit_at_most: float
    slow_statement_seconds: float
    """Statements of this mean length or longer brake; a third of the write timeout leaves room to react."""
    cpu_target_percent: float = 60.0
    """The ceiling while nothing is late."""
    cpu_max_percent: float = 85.0
    """The ceiling when the lag is at its maximum."""
    lag_target_seconds: float = 10.0
    lag_max_seconds: float = 300.0
    has_load_signal: bool = False
    """Whether a sensor was chosen at all; False is source `none`: the largest limit, braked by time and errors."""
    batch_max_rows: int = 1000
    """The most that a statement may have."""


class GovernorState(msgspec.Struct, frozen=True):
    """All that is remembered from one reading to the next; of bounded size."""

    limit: float
    taken_at: float | None = None
    """Of the newest reading, loop's clock."""
    past: tuple[Work, ...] = ()
    mean: Mean = Mean()
    """Readings of late, with the work behind them."""
    cost: RowCost = RowCost()
    row_time: RowTime = RowTime()
    load_taken_at: float | None = None
    """End of the newest window that was acted on, Unix seconds."""
    news_at: float | None = None
    """When it came, or when we began to wait for the first one; loop's clock."""
    window_seconds: float = 1.0
    """Its length: who speaks once a minute may be silent for longer."""
    was_reached: bool = False
    """Whether a batch has waited for the limiter since the last step."""
    is_failing: bool = False
    """Whether something has failed, and no second since has seen successes alone."""
    hurt_at: float | None = None
    """Of the newest reading with failures or slow statements, or of the newest second of an outage."""
    cut_at: float | None = None
    """Of the newest cut for either of these."""
    is_congested: bool = False
    """Whether the present congestion has had its cut: one per event, however many readings tell of it."""
    error_percent: float = 0.0
    """Running mean of predicted CPU less ceiling, since the last step."""
    shared_until: float | None = None
    """Until when we take it that others load the database too."""
    trusted_limit: float | None = None
    """The limit in force when the sensor last spoke."""

    @classmethod
    def at_start(cls, options: GovernorOptions) -> GovernorState:
        """A new task's: at the floor, for it comes to a database that others use; at the top without a sensor."""
        return cls(limit=options.limit_at_least if options.has_load_signal else options.limit_at_most)


class Decision(msgspec.Struct, frozen=True):
    """The limit from now on, why, and the evidence: enough for one line of a log."""

    limit: float
    reason: Reason
    batch_rows: int
    """How many rows a statement may have from now on."""
    ceiling_percent: float | None = None
    """None without a sensor, by choice."""
    urgency: float = 0.0
    """0: nothing is late, 1: the lag is at its maximum."""
    cpu_percent: float | None = None
    """As the sensor said; None: nothing new."""
    predicted_percent: float | None = None
    """As it would be now with the limit used to the full, before this decision."""
    external_percent: float | None = None
    """The part of the reading that is somebody else's, as far as it can be told apart."""
    row_time_ratio: float = 1.0
    """Write time per row against its best of late."""
    load_age_seconds: float | None = None
