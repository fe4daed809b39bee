"""How far one step goes: the arithmetic of the governor, without its reasons. Pure."""

from __future__ import annotations

import math

from subscriber.control.governor.prediction import Prediction
from subscriber.control.governor.state import GovernorOptions

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

START_FACTOR = 4.0
START_BELOW = 1 / 3
"""Instead, while the prediction and the mean of the last readings are both below this part of what is aimed at: a slow
start, as TCP's. Two witnesses, for a single reading that says too little must not be worth four times the load; and
our part is then taken with the sensor's error added, so that a step goes as far as our cost has been measured."""

SHARING_UP_PER_SECOND = 1 / 50
SHARING_DOWN_PER_SECOND = 1 / 1000
"""How fast shares drift to the middle of the bounds. Who has little is in more of a hurry than who has much."""

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
    room = aim_percent - prediction.external_percent
    if room <= 0:
        return limit * FACTOR_AT_LEAST
    return float(limit * max(FACTOR_AT_LEAST, min(1.0, (room / prediction.own_percent) ** GAIN)))


def stepped_up(limit: float, prediction: Prediction, aim_percent: float, mean_percent: float) -> float:
    """The limit after one step up, by the same law, with the more cautious measure of our part.

    Args:
        limit: in force.
        prediction: of the newest reading.
        aim_percent: where the CPU should be.
        mean_percent: CPU of the last readings, on average.
    """
    room, own = aim_percent - prediction.external_percent, prediction.own_at_most_percent
    if room <= 0:
        return limit
    is_start = max(mean_percent, own + prediction.external_percent) < START_BELOW * aim_percent
    most = START_FACTOR if is_start else FACTOR_AT_MOST
    own += prediction.error_percent if is_start else 0.0
    if own <= 0:
        return limit * most
    return float(limit * min(most, max(1.0, (room / own) ** GAIN)))


def shared(limit: float, options: GovernorOptions, error_percent: float, window_seconds: float) -> float:
    """The limit drawn a little towards the geometric middle of its bounds, the same point for every task.

    Steps multiply: they keep the total right, and unequal shares unequal. As generators on one grid share its load by
    a droop towards the same point, tasks that see the same CPU come to equal limits without a word between them. Those
    above the middle give only while the CPU is a little high: who but seems to share, the others being no tasks of
    ours, would else give what nobody takes, and fetch it back in the next step.

    Args:
        limit: in force.
        options: whose bounds have the middle.
        error_percent: of the CPU against the aim, in the mean of the last seconds.
        window_seconds: of the reading that is answered.
    """
    middle = math.sqrt(options.limit_at_least * options.limit_at_most)
    distance = min(1.0, math.log(middle / limit))
    if distance < 0 and error_percent <= 0:
        return limit
    rate = SHARING_UP_PER_SECOND if distance > 0 else SHARING_DOWN_PER_SECOND
    return float(limit * math.exp(rate * distance * min(SHARING_SECONDS_AT_MOST, window_seconds)))
