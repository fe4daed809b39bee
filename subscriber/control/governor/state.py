"""The input, the state and the output of the governor."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from subscriber import choices
from subscriber.control.governor.memory import Outcomes, RowTime, Work
from subscriber.control.governor.own_times import OwnTimes
from subscriber.control.governor.prediction import Mean, RowCost

Reason: TypeAlias = Literal[
    "failures",  # down: statements failed for reasons of the database
    "slow",  # down: statements took longer than any statement should
    "slow_rows",  # down: rows take longer, and the sensor has not reported it yet, or there is none
    "above_ceiling",  # down: the CPU, as predicted for the limit in force, is above the ceiling
    "below_ceiling",  # up: it is below, and batches waited for the limiter
    "sharing",  # slightly up or down: inside the dead band the tasks of a fleet drift to equal shares
    "steady",  # unchanged: inside the dead band, or at its bound
    "not_needed",  # unchanged: there is CPU left, but no batch waited for the limiter
    "at_ceiling",  # unchanged: the prediction shows CPU left, but the reading itself shows none
    "unmeasured",  # unchanged: the cost of a larger limit is not known yet
    "braked",  # unchanged: failures or slow statements moments ago, or rows are still slow
    "outage",  # unchanged: the database is unavailable
    "no_new_reading",  # unchanged: the sensor has brought no newer reading since the last decision
    "signal_lost",  # unchanged: the sensor is stale, growth is frozen
    "fallback",  # the sensor is stale for long: write time alone decides, under a conservative cap
    "quick_rows",  # up, without a sensor by choice: batches wait, and rows are as quick as under a smaller limit
]
"""Why the limit changes or stays."""


class GovernorOptions(msgspec.Struct, frozen=True):
    """Bounds and targets, from the settings."""

    limit_at_least: float
    limit_at_most: float
    slow_statement_seconds: float
    """Statements of this mean length or longer lower the limit; a third of the write timeout leaves time to react."""
    cpu_target_percent: float = choices.CPU_TARGET_PERCENT
    """The ceiling while nothing is late."""
    cpu_max_percent: float = choices.CPU_MAX_PERCENT
    """The ceiling when the lag is at its maximum."""
    lag_target_seconds: float = choices.LAG_TARGET_SECONDS
    lag_max_seconds: float = choices.LAG_MAX_SECONDS
    has_load_signal: bool = False
    """Whether the operator chose a sensor; False is source `none`: the times of our own statements decide."""
    batch_max_rows: int = choices.BATCH_MAX_ROWS
    """The maximum of a statement."""


class GovernorState(msgspec.Struct, frozen=True):
    """The memory from one reading to the next; of bounded size."""

    limit: float
    taken_at: float | None = None
    """Of the newest reading, loop's clock."""
    past: tuple[Work, ...] = ()
    usage_mean: Mean = Mean()
    """Recent readings with the work that caused them."""
    cost: RowCost = RowCost()
    row_time: RowTime = RowTime()
    own_times: OwnTimes = OwnTimes()
    """Without a sensor only."""
    load_taken_at: float | None = None
    """End of the newest window that led to a decision, Unix seconds."""
    load_received_at: float | None = None
    """When that reading arrived, or when the wait for the first one began; loop's clock."""
    window_seconds: float = 1.0
    """Length of that window: a sensor with a long window becomes stale later."""
    was_reached: bool = False
    """Whether a batch has waited for the limiter since the last new reading."""
    outcomes: Outcomes = Outcomes()
    """Of the statements of the last seconds."""
    was_unavailable: bool = False
    """Whether the database was unavailable at the newest reading."""
    trouble_at: float | None = None
    """Of the newest reading with more than a few failures, with slow statements, or of an outage."""
    cut_at: float | None = None
    """Of the newest cut for either of these."""
    slow_rows_at: float | None = None
    """Of the newest cut for slow rows."""
    is_congested: bool = False
    """Whether the present congestion has had its cut: one per event, however many readings show it."""
    mean_error_percent: float = 0.0
    """Running mean of predicted CPU less target, since the last step."""
    shared_until: float | None = None
    """Until then we assume that others load the database too."""
    trusted_limit: float | None = None
    """The limit in force at the sensor's last reading."""

    @classmethod
    def at_start(cls, options: GovernorOptions) -> GovernorState:
        """The state of a new task: the lowest limit, as others may be using the database."""
        return cls(limit=options.limit_at_least)


class Decision(msgspec.Struct, frozen=True):
    """The limit from now on, the reason, and the evidence: all that one log line needs."""

    limit: float
    reason: Reason
    batch_rows: int
    """The maximum of a statement from now on."""
    ceiling_percent: float | None = None
    """None where the operator chose no sensor."""
    urgency: float = 0.0
    """0: nothing is late, 1: the lag is at its maximum."""
    cpu_percent: float | None = None
    """The sensor's reading; None: there is no newer one."""
    predicted_percent: float | None = None
    """The CPU of now with the limit fully used, before this decision."""
    external_percent: float | None = None
    """The part of the reading that is external load, as far as it can be estimated."""
    row_time_ratio: float = 1.0
    """Write time per row against its recent best."""
    load_age_seconds: float | None = None
