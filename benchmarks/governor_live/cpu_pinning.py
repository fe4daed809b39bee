"""Pins PostgreSQL to one core and all other processes to the others, so that the measurement does not disturb it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec
import psutil


class Cores(msgspec.Struct, frozen=True):
    """The core of the database, and the cores of all other processes."""

    database: int
    others: frozenset[int]


@contextmanager
def pinned() -> Iterator[Cores | None]:
    """Moves this process, and so every process that it starts in the block, off the last of its cores.

    Yields None where that is impossible: on a machine with one core, or without sched_setaffinity(2).
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


def pin(process_ids: Iterable[int], core: int) -> None:
    """Pins these processes, and so every process that they fork from now on, to one core.

    Args:
        process_ids: the parent first, so that no child is forked before its parent is pinned.
        core: number of the core.
    """
    for process_id in process_ids:
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(process_id, {core})


def busy_seconds(core: int) -> float:
    """Seconds that a core was busy since boot, for any process, including time stolen by a hypervisor."""
    times = psutil.cpu_times(percpu=True)[core]
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def describe(cores: Cores | None) -> str:
    """The pinning as text, for the remark of a result."""
    if cores is None:
        return "PostgreSQL NOT pinned to a core of its own: the machine has one core or cannot pin processes"
    others = ", ".join(map(str, sorted(cores.others)))
    return f"PostgreSQL pinned to core {cores.database}, all other processes to {others}"
