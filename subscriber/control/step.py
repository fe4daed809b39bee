"""How far one step goes: the arithmetic of the governor, without its reasons. Pure."""

from __future__ import annotations

import math

from subscriber.control.prediction import Prediction

DEAD_BAND_PERCENT = 2.0
"""No step while the error is this small: sensors err by as much, and a limit that twitches helps nobody."""

LARGE_ERROR_PERCENT = 6.0
"""An error this large is answered at once; a smaller one when the mean of the last seconds confirms it."""

CONFIRMED_SECONDS = 3.0
"""Time constant of that mean. A sensor whose windows are longer has taken it already."""

GAIN = 0.6
"""The exponent of a step. At 1 it would go all the way, and a sensor's error with it; a loop whose gain is wrong by a
factor of up to 3 still comes to rest."""

FACTOR_AT_LEAST = 0.5
FACTOR_AT_MOST = 1.5
"""Of one step, whatever the reading says: one reading is one witness."""

START_FACTOR = 2.5
START_BELOW = 0.15
"""Instead, while the prediction is below this part of what is aimed at: a slow start, as TCP's."""

SHARING_UP_PER_SECOND = 1 / 50
SHARING_DOWN_PER_SECOND = 1 / 1000
"""How fast shares drift to the middle of the bounds. Who has little is in more of a hurry than who has much: a task
that only seems to share would lower its limit for nobody."""

SHARING_SECONDS_AT_MOST = 10.0
"""Of one step: a sensor that speaks once a minute must not be answered with a push."""


def confirmed_error(before: float, error: float, window_seconds: float) -> float:
    """The running mean of the errors, points, with one more."""
    return before + (1 - math.exp(-window_seconds / CONFIRMED_SECONDS)) * (error - before)


def needs_step(error: float, confirmed: float) -> bool:
    """Whether an error, points, is large or confirmed."""
    return abs(error) > LARGE_ERROR_PERCENT or (
        abs(confirmed) > DEAD_BAND_PERCENT and abs(error) > DEAD_BAND_PERCENT and (error > 0) == (confirmed > 0)
    )


def stepped_down(limit: float, prediction: Prediction, aim_percent: float) -> float:
    """The limit after one step down: `limit × (room ÷ own)^0.6`, within the factor.

    Only our own part can follow, so it alone is held against the room that others leave below the aim.
    """
    room = aim_percent - prediction.foreign_percent
    if room <= 0:
        return limit * FACTOR_AT_LEAST
    return float(limit * max(FACTOR_AT_LEAST, min(1.0, (room / prediction.own_percent) ** GAIN)))


def stepped_up(limit: float, prediction: Prediction, aim_percent: float) -> float:
    """The limit after one step up, by the same law, with the more cautious measure of our part."""
    room, own = aim_percent - prediction.foreign_percent, prediction.own_at_most_percent
    if room <= 0:
        return limit
    most = START_FACTOR if own + prediction.foreign_percent < START_BELOW * aim_percent else FACTOR_AT_MOST
    if own <= 0:
        return limit * most
    return float(limit * min(most, max(1.0, (room / own) ** GAIN)))


def shared(limit: float, limit_at_least: float, limit_at_most: float, window_seconds: float) -> float:
    """The limit drawn a little towards the geometric middle of its bounds, the same point for every task.

    Steps multiply: they keep the total right, and unequal shares unequal. As generators on one grid share its load by
    a droop towards the same point, tasks that see the same CPU come to equal limits without a word between them.
    """
    distance = min(1.0, math.log(math.sqrt(limit_at_least * limit_at_most) / limit))
    rate = SHARING_UP_PER_SECOND if distance > 0 else SHARING_DOWN_PER_SECOND
    return float(limit * math.exp(rate * distance * min(SHARING_SECONDS_AT_MOST, window_seconds)))
