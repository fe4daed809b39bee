"""How far one step goes: the arithmetic of the governor, without its reasons. Pure."""

from __future__ import annotations

import math

from subscriber.control.prediction import Prediction

DEAD_BAND_PERCENT = 2.0
"""No step while the error is this small: sensors err by as much, and a limit that twitches helps nobody."""

LARGE_ERROR_PERCENT = 6.0
"""An error this large is answered at once; a smaller one when the mean of the last seconds confirms it."""

CONFIRMED_SECONDS = 5.0
"""Time constant of that mean. A sensor whose windows are longer has taken it already."""

GAIN = 0.6
"""The exponent of a step. At 1 it would go all the way, and a sensor's error with it; a loop whose gain is wrong by a
factor of up to 3 still comes to rest."""

FACTOR_AT_LEAST = 0.5
FACTOR_AT_MOST = 1.5
"""Of one step, whatever the reading says: one reading is one witness."""

START_FACTOR = 2.0
"""Instead, while the prediction is below half of what is allowed: a slow start, as TCP's."""

SHARING_PER_SECOND = 0.005
"""How fast shares drift together: halved distance, in logarithms, every 140 s."""

SHARING_AT_MOST = 0.05
"""Of one step: a sensor that speaks once a minute must not be answered with a push."""


def confirmed_error(before: float, error: float, window_seconds: float) -> float:
    """The running mean of the errors, points, with one more."""
    return before + (1 - math.exp(-window_seconds / CONFIRMED_SECONDS)) * (error - before)


def needs_step(error: float, confirmed: float) -> bool:
    """Whether an error, points, is large or confirmed."""
    return abs(error) > LARGE_ERROR_PERCENT or (
        abs(confirmed) > DEAD_BAND_PERCENT and abs(error) > DEAD_BAND_PERCENT and (error > 0) == (confirmed > 0)
    )


def stepped(limit: float, prediction: Prediction, aim_percent: float) -> float:
    """The limit after one step towards what is aimed at: `limit × (room ÷ own)^0.6`, within the factors.

    Only our own part can follow, so it alone is held against the room that others leave.
    """
    room = aim_percent - prediction.foreign_percent
    if room <= 0:
        return limit * FACTOR_AT_LEAST
    most = START_FACTOR if prediction.cpu_percent < aim_percent / 2 else FACTOR_AT_MOST
    if prediction.own_percent <= 0:
        return limit * most
    factor = (room / prediction.own_percent) ** GAIN
    return float(limit * min(most, max(FACTOR_AT_LEAST, factor)))


def shared(limit: float, limit_at_least: float, limit_at_most: float, seconds: float) -> float:
    """The limit drawn a little towards the geometric middle of its bounds, the same point for every task.

    Steps multiply, so they keep the total right and unequal shares unequal. As generators on one grid share its load
    by a droop towards the same point, tasks that see the same CPU come to equal limits without a word between them.
    """
    middle = math.sqrt(limit_at_least * limit_at_most)
    pull = min(SHARING_AT_MOST, SHARING_PER_SECOND * seconds)
    return float(limit * (middle / limit) ** pull)
