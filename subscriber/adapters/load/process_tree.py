"""Reads from /proc what Linux knows of the processes of a PostgreSQL on this machine. Blocking, for a thread.

The kernel adds the time of a child to its parent when the parent has waited for it, so the postmaster's own counters
contain those of all ended sessions: the sum of postmaster and living children only grows (proc(5), stat).
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")

_TRIES = 5
_START_TOLERANCE_SECONDS = 5.0
"""The kernel's tick count and the server's clock start at slightly different moments of a process's life."""


class ProcessStat(NamedTuple):
    """One process."""

    name: str
    parent: int
    started_ticks: int
    """Since boot; together with the process id it identifies a process uniquely."""
    own_ticks: int
    ended_children_ticks: int


class Snapshot(NamedTuple):
    """The processor time that a tree had used at a moment."""

    at: float
    """Seconds of the monotonic clock."""
    cpu_seconds: float


def process_stat(process_id: int) -> ProcessStat:
    """The kernel's facts about a process.

    Raises:
        OSError: there is no process with this id.
    """
    text = (PROC / str(process_id) / "stat").read_text("utf-8", "replace")
    before, _, after = text.rpartition(")")  # a name may contain spaces and brackets
    fields = after.split()  # from the third field of proc(5) on
    return ProcessStat(
        name=before.partition("(")[2],
        parent=int(fields[1]),
        started_ticks=int(fields[19]),
        own_ticks=int(fields[11]) + int(fields[12]),
        ended_children_ticks=int(fields[13]) + int(fields[14]),
    )


def find_postmaster(backend: int, started_at: float) -> int | None:
    """The parent of a session's process; None: that process is not on this machine, or invisible to this one.

    The process id alone proves nothing: another machine or a container has a count of its own. The process must have
    the id in its innermost namespace, be called postgres and have started at the time that the server reports.

    Args:
        backend: the id that the server reports.
        started_at: the start time that the server reports, Unix seconds.
    """
    for process_id in [backend, *_process_ids()]:
        try:
            if _id_within(process_id) != backend:
                continue
            stat = process_stat(process_id)
        except (OSError, ValueError, IndexError):
            continue  # it has ended meanwhile, or we lack the permission
        if "postgres" in stat.name and abs(_started_at(stat) - started_at) < _START_TOLERANCE_SECONDS:
            return stat.parent
    return None


class ProcessTree:
    """A postmaster and its children.

    Raises:
        OSError: there is no such process.
    """

    def __init__(self, postmaster: int) -> None:
        self._postmaster = postmaster
        self._started_ticks = process_stat(postmaster).started_ticks
        self._children: set[int] = set()
        self._ticks_per_second = os.sysconf("SC_CLK_TCK")

    def cores(self) -> int:
        """Number of processors that it may use.

        Raises:
            OSError: it has ended.
        """
        return len(os.sched_getaffinity(self._postmaster))

    def snapshot(self) -> Snapshot:
        """The processor time used up to now.

        Raises:
            OSError: the postmaster has ended, or another process has its id by now.
        """
        before = self._stat()
        ticks = self._children_ticks()
        for _ in range(_TRIES):
            after = self._stat()
            if after.ended_children_ticks == before.ended_children_ticks:
                break
            # A child ended during the count: it may have been counted twice, or not at all.
            before, ticks = after, self._children_ticks()
        total = before.own_ticks + before.ended_children_ticks + ticks
        return Snapshot(time.monotonic(), total / self._ticks_per_second)

    def _stat(self) -> ProcessStat:
        stat = process_stat(self._postmaster)
        if stat.started_ticks != self._started_ticks:
            raise ProcessLookupError(f"process {self._postmaster} is another process now")
        return stat

    def _children_ticks(self) -> int:
        ticks = 0
        # The kernel's list may leave out a child while another one ends (proc(5), children): check the known ones too.
        found, self._children = self._children | _children_of(self._postmaster), set()
        for process_id in found:
            try:
                stat = process_stat(process_id)
            except OSError:
                continue  # it has ended: the parent's counters contain its time
            if stat.parent == self._postmaster:
                self._children.add(process_id)
                ticks += stat.own_ticks + stat.ended_children_ticks
        return ticks


def _children_of(process_id: int) -> set[int]:
    listed = PROC / str(process_id) / "task" / str(process_id) / "children"
    if listed.exists():
        return {int(child) for child in listed.read_text().split()}
    return set(_process_ids())  # a kernel without that list: the caller checks the parent of each


def _process_ids() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal()]


def _id_within(process_id: int) -> int:
    """The id a process has in its innermost namespace, as it and its container know it."""
    for line in (PROC / str(process_id) / "status").read_text("utf-8", "replace").splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    return process_id  # a kernel without namespaces


def _started_at(stat: ProcessStat) -> float:
    booted_at = next(
        int(line.split()[1]) for line in (PROC / "stat").read_text().splitlines() if line.startswith("btime ")
    )
    return booted_at + stat.started_ticks / os.sysconf("SC_CLK_TCK")
