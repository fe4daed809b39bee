"""CPU time of processes, as the operating system counts it."""

from __future__ import annotations

import contextlib
from typing import Any

import psutil

_TRIES = 20


def cpu_seconds(process_id: int) -> float:
    """User and system seconds of a process and its children, including ended children it has waited for."""
    try:
        times = psutil.Process(process_id).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return _own(times) + _ended_children(times)


def tree_cpu_seconds(process_id: int) -> float:
    """User and system seconds of a process, its running children and those that have ended; 0 without the process."""
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(process_id)
        before = process.cpu_times()
        for _ in range(_TRIES):
            total = cpu_seconds(process_id) + sum(cpu_seconds(child.pid) for child in process.children(recursive=True))
            after = process.cpu_times()
            if _ended_children(after) == _ended_children(before):
                break
            # A child ended during the count: it may have been counted twice, or not at all.
            before = after
    return total


def _own(times: Any) -> float:
    return float(times.user) + float(times.system)


def _ended_children(times: Any) -> float:
    """Time of children that have ended; macOS does not report it."""
    return float(getattr(times, "children_user", 0.0)) + float(getattr(times, "children_system", 0.0))
