"""Chooses the best source of load readings among those that answer.

The order, and its reason:

1. `local`: exact, free, at most a second late, wherever the database runs on this machine.
2. `performance_insights`: the processors of the instance as its operating system counts them, some seconds late.
3. `aurora_stat`: live and per process, of Aurora's backends only, on an undocumented scale that the sensor infers.
4. `active_sessions`: live and on any server, an estimate by samples.
5. `cloudwatch`: exact, but a mean of a minute, up to three minutes late.

In the second half a fresh source precedes an exact one: a burst is over before CloudWatch reports it, while an
estimate is wrong by a few points only. An operator who disagrees names the source.
"""

from __future__ import annotations

from collections.abc import Callable

from subscriber.adapters.load.instance_finder import InstanceFinder
from subscriber.choices import LoadSource
from subscriber.control.load_monitor import Sensor, close_sensor, read_sensor
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


def why_skipped(source: LoadSource, finder: InstanceFinder) -> str | None:
    """Why reading a source would be pointless; None: it is worth a try."""
    if source == "local" and finder.endpoint is not None:
        return "the database is RDS's"
    if source in {"performance_insights", "cloudwatch"} and finder.is_nameless:
        return "neither the database's host nor SUBSCRIBER_DATABASE_INSTANCE_ID names an instance of RDS"
    return None


async def best_source(make: Callable[[LoadSource], Sensor], finder: InstanceFinder) -> Sensor | None:
    """The first of the preferred sources that returns a reading; the log names it, and why those before it do not.

    Sources are read one after the other, each within the time limit of a read; those after the first answer are not.
    """
    skipped: dict[str, str] = {}
    for source in PREFERENCE:
        reason = why_skipped(source, finder)
        if reason is None:
            sensor = make(source)
            reason = await _why_unusable(sensor)
            if reason is None:
                _log.info("load.source", source=source, chosen_by="auto", skipped=skipped)
                return sensor
        skipped[source] = reason
    _log.warning("load.source", source="none", chosen_by="auto", skipped=skipped)
    return None


async def _why_unusable(sensor: Sensor) -> str | None:
    """Why a sensor returns no reading, which closes it; None: it returns one."""
    try:
        if await read_sensor(sensor) is not None:
            return None
        reason = "it has no reading yet"
    except SensorError as error:
        reason = str(error).removeprefix(f"{sensor.source}: ")
    except BaseException:
        await close_sensor(sensor)
        raise
    await close_sensor(sensor)
    return reason
