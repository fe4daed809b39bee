"""The parameters of a measurement."""

from __future__ import annotations

import msgspec


class Asked(msgspec.Struct, frozen=True):
    """What a mode was asked for; rounds of other parameters are not comparable."""

    keys: int
    rate: float = 0.0
    """Live events a second."""
    keys_per_drift: int = 0
    seconds: float = 0.0
    """Of a load."""
    grace_seconds: int = 0
