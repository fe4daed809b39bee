"""A TCP proxy in front of a database whose connections take long to begin and are quick then, as slow logins are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.chaos.proxy import Network, network


@asynccontextmanager
async def slow_login(target_port: int, seconds: float) -> AsyncIterator[Network]:
    """Run the proxy while the block runs; its `port` leads to the target."""
    async with network(target_port) as made:
        made.login_seconds = seconds
        yield made
