"""How far one step goes: the arithmetic of the governor, without its rules. Pure."""

from __future__ import annotations

import math

from subscriber.control.governor.prediction import Prediction
from subscriber.control.governor.state import GovernorOptions

DEAD_BAND_PERCENT = 2.0
"""No step while the error is this small: sensors have errors of this size, and the limit should not follow noise."""

LARGE_ERROR_PERCENT = 6.0
"""An error this large leads to a step at once; a smaller one when the mean of the last seconds confirms it."""

CONFIRMED_SECONDS = 3.0
"""Time constant of that mean. A sensor with longer windows has averaged already."""

GAIN = 0.6
"""The exponent of a step. At 1 a step would correct the whole error, the sensor's noise included; at this value the
loop still converges when its gain is wrong by a factor of up to 3."""

FACTOR_AT_LEAST = 0.5
FACTOR_AT_MOST = 1.5
"""Bounds of one step, so that one bad reading cannot halve the throughput twice."""

START_FACTOR = 4.0
START_BELOW = 1 / 3
"""Instead, while the prediction and the mean of the last readings are both below this part of the target: a slow start,
as TCP's. Both must agree, because a single reading that is too low must not cause four times the load; and the sensor's
error is added to our part, so that a step goes no further than our cost has been measured."""

SHARING_UP_PER_SECOND = 1 / 50
SHARING_DOWN_PER_SECOND = 1 / 1000
"""How fast shares drift to the middle of the bounds. Small shares grow faster than large ones shrink."""

SHARING_SECONDS_AT_MOST = 10.0
"""Of one step: a window of a minute must not cause a large step."""


def confirmed_error(before: float, error: float, window_seconds: float) -> float:
    """The running mean of the errors, in percentage points, with one more."""
    return before + (1 - math.exp(-window_seconds / CONFIRMED_SECONDS)) * (error - before)


def needs_step(error: float, confirmed: float) -> bool:
    """Whether an error, in percentage points, is large or confirmed."""
    return abs(error) > LARGE_ERROR_PERCENT or (
        abs(confirmed) > DEAD_BAND_PERCENT and abs(error) > DEAD_BAND_PERCENT and (error > 0) == (confirmed > 0)
    )


def stepped_down(limit: float, prediction: Prediction, aim_percent: float) -> float:
    """The limit after one step down: `limit × (available ÷ own)^0.6`, within the bounds of a step.

    Only our own part follows the limit, so it is compared with the CPU that external load leaves below the target.
    """
    available = aim_percent - prediction.external_percent
    if available <= 0:
        return limit * FACTOR_AT_LEAST
    return float(limit * max(FACTOR_AT_LEAST, min(1.0, (available / prediction.own_percent) ** GAIN)))


def stepped_up(limit: float, prediction: Prediction, aim_percent: float, mean_percent: float) -> float:
    """The limit after one step up, by the same law, with the more cautious estimate of our part.

    Args:
        limit: in force.
        prediction: from the newest reading.
        aim_percent: the target of the CPU.
        mean_percent: mean CPU of the last readings.
    """
    available, own = aim_percent - prediction.external_percent, prediction.own_at_most_percent
    if available <= 0:
        return limit
    is_start = max(mean_percent, own + prediction.external_percent) < START_BELOW * aim_percent
    most = START_FACTOR if is_start else FACTOR_AT_MOST
    own += prediction.uncertainty_percent if is_start else 0.0
    if own <= 0:
        return limit * most
    return float(limit * min(most, max(1.0, (available / own) ** GAIN)))


def shared(limit: float, options: GovernorOptions, mean_error_percent: float, window_seconds: float) -> float:
    """The limit, moved slightly towards the geometric mean of its bounds, the same point for every task.

    Steps multiply: they keep the total right but leave unequal shares unequal. Generators on one grid share its load by
    a droop towards a common point; likewise tasks that see the same CPU converge to equal limits without any messages.
    A task above the middle shrinks only while the CPU is slightly high. Otherwise a task whose neighbors are no tasks
    of ours would give up capacity that nobody takes, and take it back in the next step.

    Args:
        limit: in force.
        options: the bounds.
        mean_error_percent: predicted CPU minus target, as a mean of the last seconds.
        window_seconds: of the reading that leads to this step.
    """
    middle = math.sqrt(options.limit_at_least * options.limit_at_most)
    distance = min(1.0, math.log(middle / limit))
    if distance < 0 and mean_error_percent <= 0:
        return limit
    rate = SHARING_UP_PER_SECOND if distance > 0 else SHARING_DOWN_PER_SECOND
    return float(limit * math.exp(rate * distance * min(SHARING_SECONDS_AT_MOST, window_seconds)))
