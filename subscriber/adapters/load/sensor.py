"""What every sensor of the database's load is and is given, and which numbers are believed.

A sensor answers one question: how busy was the database's CPU, of the capacity it had, in the newest window that
has ended? What the sources are and which is best stands in `load_auto`.
"""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.errors import SensorError
from subscriber.signals import LoadReading

LoadSource: TypeAlias = Literal[
    "auto", "performance_insights", "cloudwatch", "aurora_stat", "active_sessions", "local", "none"
]

ROUNDING_PERCENT = 1.0
"""A mean of samples may come out this much above a hundred without being a lie."""


class Sensor(Protocol):
    """One source of readings. It is read by one task."""

    source: str
    """Its name, as in DATABASE_LOAD_SOURCE."""
    period_seconds: float
    """How often asking makes sense, from the end of one `read` to the begin of the next."""

    async def read(self) -> LoadReading | None:
        """The newest finished window, maybe the same as before; None: there is none yet.

        Raises:
            SensorError: there is no answer; the text says why in one sentence.
        """
        ...

    async def close(self) -> None:
        """Give back what it holds; it raises nothing and may be called twice."""
        ...


class SensorOptions(msgspec.Struct, frozen=True):
    """What the sensors need to know of the database and of the operator's wishes."""

    source: LoadSource
    store: StoreOptions
    """How the database is reached."""
    hosts: tuple[str, ...]
    """Whom its URL names: host names, addresses, or socket directories (they begin with a slash)."""
    instance_id: str | None = None
    """The instance's name in RDS, or its resource id (`db-` and capitals); None: the host says it."""
    vcpus: float | None = None
    """How many processors the database has, where the operator knows better than we find out."""
    region: str | None = None
    """Of the instance, where its host does not name one; None: as botocore finds it."""


def checked(cpu_percent: float, rounding_percent: float = ROUNDING_PERCENT) -> float:
    """A load that can be true: 0 to 100, what is above by mere rounding taken for 100.

    Raises:
        SensorError: it is not a number, negative, infinite, or more than all of the capacity.
    """
    if not 0 <= cpu_percent <= 100 + rounding_percent:  # what is no number compares with nothing
        raise SensorError(f"a load of {cpu_percent:g} % cannot be true")
    return min(cpu_percent, 100.0)
