"""Which source of readings is the best that answers.

The order, and its reason:

1. `local`: exact, free, a second late at most, wherever the database is on this machine.
2. `performance_insights`: the processors of the instance as its operating system counts them, some seconds late.
3. `aurora_stat`: live and per process, of Aurora's backends only, on a scale that has to be found out.
4. `active_sessions`: live and on any server, an estimate by samples.
5. `cloudwatch`: true, but a mean of a minute, up to three minutes late.

Fresh goes before exact in the second half: a burst is over before CloudWatch speaks of it, while an estimate that is
some points off is off by as many points only. An operator who sees it otherwise names the source.
"""

from __future__ import annotations

from collections.abc import Callable

from subscriber.adapters.load.instance_finder import InstanceFinder
from subscriber.adapters.load.sensor import LoadSource, Sensor
from subscriber.errors import SensorError
from subscriber.observe.log import get_logger

PREFERENCE: tuple[LoadSource, ...] = (
    "local",
    "performance_insights",
    "aurora_stat",
    "active_sessions",
    "cloudwatch",
)

_log = get_logger()


def why_not(source: LoadSource, finder: InstanceFinder) -> str | None:
    """Why a source need not even be asked; None: it is worth a try."""
    if source == "local" and finder.endpoint is not None:
        return "the database is RDS's"
    if source in {"performance_insights", "cloudwatch"} and finder.is_nameless:
        return "neither the database's host nor SUBSCRIBER_DATABASE_INSTANCE_ID names an instance of RDS"
    return None


async def best_that_answers(make: Callable[[LoadSource], Sensor], finder: InstanceFinder) -> Sensor | None:
    """The first of the preferred sources that gives a reading; the log says which, and why not those before it.

    One after the other: those that are not needed are not asked. Each has the time limit of a reading.
    """
    refused: dict[str, str] = {}
    for source in PREFERENCE:
        reason = why_not(source, finder)
        if reason is None:
            sensor = make(source)
            reason = await _refusal(sensor)
            if reason is None:
                _log.info("load.source", source=source, chosen_by="auto", refused=refused)
                return sensor
        refused[source] = reason
    _log.warning("load.source", source="none", chosen_by="auto", refused=refused)
    return None


async def _refusal(sensor: Sensor) -> str | None:
    """Why a sensor does not answer; it is closed then. None: it does."""
    try:
        if await sensor.read() is not None:
            return None
        reason = "it has no reading yet"
    except SensorError as error:
        reason = str(error).removeprefix(f"{sensor.source}: ")
    except BaseException:
        await sensor.close()
        raise
    await sensor.close()
    return reason
