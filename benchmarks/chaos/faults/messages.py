"""Faults of what the queue holds: the load of the whole run has a variant (`benchmarks/chaos/variants.py`)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.chaos.context import RunContext


@asynccontextmanager
async def unknown_events(_context: RunContext) -> AsyncIterator[None]:
    """Every ninth message has a name, detail-type or sender that is not known: it is quarantined as unknown_event."""
    yield


@asynccontextmanager
async def from_ceph(_context: RunContext) -> AsyncIterator[None]:
    """The records are Ceph's: keys are not encoded, and sequencers do not order events."""
    yield
