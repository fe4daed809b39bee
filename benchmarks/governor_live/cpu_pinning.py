"""One core for PostgreSQL, the others for everybody else: who measures the one must not disturb it with the other."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec
import psutil


class Cores(msgspec.Struct, frozen=True):
    """Which core is whose."""

    database: int
    others: frozenset[int]


@contextmanager
def apart() -> Iterator[Cores | None]:
    """Moves this process, and so all that it starts in the block, off the last of its cores.

    None where that cannot be: a machine with one core, or a system without sched_setaffinity(2).
    """
    if not hasattr(os, "sched_setaffinity") or len(mine := os.sched_getaffinity(0)) < 2:
        yield None
        return
    cores = Cores(max(mine), frozenset(mine) - {max(mine)})
    os.sched_setaffinity(0, cores.others)
    try:
        yield cores
    finally:
        os.sched_setaffinity(0, mine)


def hold(process_ids: Iterable[int], core: int) -> None:
    """Leaves these processes one core, and so whatever they fork from now on.

    Args:
        process_ids: the parent first, so that no child is forked between the look and the deed.
        core: the core.
    """
    for process_id in process_ids:
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(process_id, {core})


def busy_seconds(core: int) -> float:
    """What a core has worked since the machine's start, for whoever; what a hypervisor took from it included."""
    times = psutil.cpu_times(percpu=True)[core]
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def told(cores: Cores | None) -> str:
    """In words, for whoever reads the figures."""
    if cores is None:
        return "PostgreSQL NOT held to a core of its own: this machine has one core, or no way to say so"
    others = ", ".join(map(str, sorted(cores.others)))
    return f"PostgreSQL held to core {cores.database}, everything else to {others}"
