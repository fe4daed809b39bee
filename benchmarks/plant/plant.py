"""The plant, built: PostgreSQL on a core of its own, the queue server beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from benchmarks.lab.stage import Stage, stage
from benchmarks.plant.cores import Cores, apart, hold
from benchmarks.trial.database import database_settings


class Plant(msgspec.Struct, frozen=True):
    """What there is to measure on. Made by `plant`."""

    parts: Stage
    cores: Cores | None

    @property
    def database_cores(self) -> int:
        """How many the database has."""
        return 1 if self.cores else os.cpu_count() or 1


@contextmanager
def plant() -> Iterator[Plant]:
    """The plant while the block runs; this process and its children keep off the database's core.

    Raises:
        LabError: the queue server does not come up.
        LocalPostgresError: PostgreSQL does not.
    """
    with apart() as cores, stage(database_settings()) as parts:
        if cores is not None:
            hold(parts.postgres.process_ids(), cores.database)
        yield Plant(parts, cores)
