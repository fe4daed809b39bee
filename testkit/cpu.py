"""CPU time of processes, as the operating system counts it."""

from __future__ import annotations

import psutil


def cpu_seconds(process_id: int) -> float:
    """User and system seconds of a process and its children, including ended children it has waited for."""
    try:
        times = psutil.Process(process_id).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    parts = times._asdict()
    names = ("user", "system", "children_user", "children_system")
    return sum(float(parts.get(name, 0.0)) for name in names)
