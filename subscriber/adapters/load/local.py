"""The load of a PostgreSQL on this machine: the exact processor time of its processes, second by second."""

from __future__ import annotations

import asyncio
import time

from subscriber.adapters.load.connection import LoadConnection
from subscriber.adapters.load.process_tree import PROC, ProcessTree, Snapshot, find_postmaster
from subscriber.adapters.load.sensor import checked
from subscriber.errors import SensorError
from subscriber.signals import LoadReading

WINDOW_SECONDS = 1.0
OLD_SECONDS = 5.0
"""A window that began longer ago would describe the past: a new one begins."""
TICKS_PERCENT = 5.0
"""The kernel counts time in hundredths of a second per process: a result may be too high by this much."""


def busy_percent(begin: Snapshot, end: Snapshot, cores: float) -> float:
    """The used part of the processors' time between two moments, in percent.

    Raises:
        SensorError: it cannot be true.
    """
    capacity_seconds = (end.at - begin.at) * cores
    return checked(100.0 * (end.cpu_seconds - begin.cpu_seconds) / capacity_seconds, TICKS_PERCENT)


class LocalSensor:
    """A Sensor. It asks the server once by SQL for the process of its session, and reads /proc from then on.

    Args:
        connection: finds the server's process, and is closed again.
        vcpus: number of processors that the server may use, if fewer than it may run on.
    """

    def __init__(self, connection: LoadConnection, vcpus: float | None = None) -> None:
        self._connection = connection
        self._vcpus = vcpus
        self._tree: ProcessTree | None = None
        self._begin: Snapshot | None = None
        self.source = "local"
        self.period_seconds = WINDOW_SECONDS

    async def read(self) -> LoadReading | None:
        """As in the protocol; waits until a second has passed since the reading before."""
        tree = self._tree = self._tree or await self._find()
        try:
            begin = self._begin
            if begin is None or time.monotonic() - begin.at > OLD_SECONDS:
                begin = await asyncio.to_thread(tree.snapshot)
            await asyncio.sleep(max(0.0, begin.at + WINDOW_SECONDS - time.monotonic()))
            end = await asyncio.to_thread(tree.snapshot)
            cores = self._vcpus or tree.cores()
        except OSError as error:
            self._tree = self._begin = None
            raise SensorError("the server's processes are gone: it is down or has restarted") from error
        self._begin = end
        percent = busy_percent(begin, end, cores)
        return LoadReading(cpu_percent=percent, taken_at=time.time(), window_seconds=end.at - begin.at)

    async def close(self) -> None:
        """As in the protocol."""
        await self._connection.close()

    async def _find(self) -> ProcessTree:
        if not (PROC / "self" / "stat").exists():
            raise SensorError("the processes of a database can be read on Linux only")
        try:
            (backend,) = await self._connection.rows("load_backend")
            started_at = backend["backend_start"].timestamp()
            postmaster = await asyncio.to_thread(find_postmaster, backend["pid"], started_at)
            if postmaster is None:
                raise SensorError("the database is not on this machine, or its processes are invisible to this one")
            return ProcessTree(postmaster)
        except OSError as error:
            raise SensorError("the server stopped during the search for its process") from error
        finally:
            await self._connection.close()
