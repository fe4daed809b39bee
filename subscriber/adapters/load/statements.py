"""The load as SQL shows it: live, on any server, but an estimate.

Both sensors divide by the number of processors and need to know it. An open session keeps an Aurora Serverless instance
from pausing; so do the writers' sessions.
"""

from __future__ import annotations

import asyncio
import random
import time

from subscriber.adapters.aws.calls import AwsCalls
from subscriber.adapters.load.connection import LoadConnection, StatementError
from subscriber.adapters.load.instance_finder import InstanceFinder
from subscriber.adapters.load.sensor import checked
from subscriber.errors import SensorError
from subscriber.observe.log import get_logger
from subscriber.signals import LoadReading

UNDEFINED_FUNCTION = "42883"

WINDOW_SECONDS = 2.0
SAMPLES = 20
"""Ten a second: a window of two seconds measures sessions in steps of a twentieth, and costs the server a millisecond
or two of work."""

_log = get_logger()


def sessions_percent(counts: list[int], vcpus: float) -> float:
    """The load of so many sessions that use or wait for a processor, 0 to 100.

    There may be more sessions than processors: then all processors are busy (the comparison of "average active
    sessions" with "Max vCPU", Aurora User Guide, Performance Insights).
    """
    return min(100.0, 100.0 * sum(counts) / len(counts) / vcpus)


class CpuScale:
    """The scale of the percentages of aurora_stat_resource_usage(): one processor, or all of them.

    The Aurora User Guide does not say, so the sensor infers it. One process cannot use more than one processor, so a
    process above 100 ÷ processors, or a sum above 100, proves that the scale is one processor. Until then the sensor
    assumes all of them, which reads too high if it is wrong: the safe direction. It takes several proofs in a row,
    because each process is measured over an interval of its own and a wrong proof would read too low; then the scale
    is final.
    """

    PROOFS = 3
    """In a row."""

    def __init__(self) -> None:
        self._proofs = 0

    def percent(self, total: float, largest: float, vcpus: float) -> float:
        """The load of the whole instance, from the sum over all processes and the largest of them.

        Raises:
            SensorError: it cannot be true.
        """
        rounding = 1.1  # the share of a process is measured over an interval of its own
        if self._proofs < self.PROOFS:
            proves = largest > rounding * 100 / vcpus or total > rounding * 100
            is_possible = largest <= rounding * 100 and total <= rounding * 100 * vcpus
            self._proofs = self._proofs + 1 if proves and is_possible else 0
        is_of_one = self._proofs == self.PROOFS
        return checked(total / vcpus if is_of_one else total, rounding_percent=10.0)


class ActiveSessionsSensor:
    """A Sensor: sessions that are active and wait for nothing, sampled, against the number of processors.

    It reads low where a PostgreSQL wait is work of the kernel (writing files and log), high where a session is idle
    without a PostgreSQL wait, and low where the role may not see the sessions of others: pg_read_all_stats allows it.
    """

    def __init__(self, connection: LoadConnection, finder: InstanceFinder, calls: AwsCalls) -> None:
        self._connection = connection
        self._finder = finder
        self._calls = calls
        self._has_checked_visibility = False
        self.source = "active_sessions"
        self.period_seconds = WINDOW_SECONDS

    async def read(self) -> LoadReading | None:
        """As in the protocol; takes two seconds."""
        vcpus = await self._finder.vcpus()
        await self._check_visibility()
        began = time.monotonic()
        counts = []
        for number in range(SAMPLES):
            # At random within each tenth, so that samples do not correlate with periodic work of a neighbor.
            due = began + (number + random.random()) * WINDOW_SECONDS / SAMPLES  # noqa: S311 – jitter, not a secret
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            counts.append(await self._connection.value("load_active_sessions"))
        return LoadReading(
            cpu_percent=checked(sessions_percent(counts, vcpus)),
            taken_at=time.time(),
            window_seconds=max(WINDOW_SECONDS, time.monotonic() - began),
        )

    async def _check_visibility(self) -> None:
        """Once: warn the operator if the role sees only a part of the sessions."""
        if not self._has_checked_visibility:
            if not await self._connection.value("load_may_see_all"):
                _log.warning(
                    "load.partially_visible", detail="sessions of other users are invisible: GRANT pg_read_all_stats"
                )
            self._has_checked_visibility = True

    async def close(self) -> None:
        """As in the protocol."""
        await self._connection.close()
        await self._calls.close()


class AuroraStatSensor:
    """A Sensor: the sum of what Aurora reports for each of its backends.

    The function exists from 17.5, 16.9, 15.13, 14.18 and 13.21 on (Aurora User Guide, aurora_stat_resource_usage). The
    interval of its percentages is not documented; a reading assumes one second.
    """

    def __init__(self, connection: LoadConnection, finder: InstanceFinder, calls: AwsCalls) -> None:
        self._connection = connection
        self._finder = finder
        self._calls = calls
        self._scale = CpuScale()
        self.source = "aurora_stat"
        self.period_seconds = 1.0

    async def read(self) -> LoadReading | None:
        """As in the protocol."""
        try:
            (usage,) = await self._connection.rows("load_aurora_stat")
        except StatementError as error:
            if error.sqlstate == UNDEFINED_FUNCTION:
                text = "the server has no aurora_stat_resource_usage(): it is not Aurora, or of an earlier release"
                raise SensorError(text) from error
            raise
        taken_at = time.time()
        percent = self._scale.percent(usage["total"], usage["largest"], await self._finder.vcpus())
        return LoadReading(cpu_percent=percent, taken_at=taken_at, window_seconds=self.period_seconds)

    async def close(self) -> None:
        """As in the protocol."""
        await self._connection.close()
        await self._calls.close()
