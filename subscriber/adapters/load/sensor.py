"""What every sensor of the database's load is given, and how it rounds what it measured.

`subscriber.control.load_monitor.Sensor` is the protocol; `auto` explains what the sources are and which is best.
"""

from __future__ import annotations

import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.choices import LoadSource
from subscriber.control.reading import percent_flaw
from subscriber.errors import SensorError

ROUNDING_PERCENT = 1.0
"""A mean of samples may come out this much above 100 by rounding alone."""


class SensorOptions(msgspec.Struct, frozen=True):
    """What the sensors need to know of the database and of the operator's settings."""

    source: LoadSource
    store: StoreOptions
    """How to connect to the database."""
    hosts: tuple[str, ...]
    """Those of the database's URL: host names, addresses, or socket directories (they begin with a slash)."""
    instance_id: str | None = None
    """The instance's name in RDS, or its resource id (`db-` and capitals); None: the host names it."""
    vcpus: float | None = None
    """Number of processors of the database, where the operator sets it; None: the sensor finds it out."""
    region: str | None = None
    """Of the instance, where its host does not name one; None: as botocore finds it."""


def checked(cpu_percent: float, rounding_percent: float = ROUNDING_PERCENT) -> float:
    """A possible load, 0 to 100; a value above 100 by mere rounding becomes 100.

    Raises:
        SensorError: it is NaN, negative, infinite, or more than all of the capacity.
    """
    if flaw := percent_flaw(cpu_percent, rounding_percent):
        raise SensorError(flaw)
    return min(cpu_percent, 100.0)
