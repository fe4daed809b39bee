"""Faults of the network between daemon and database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.chaos.context import RunContext
from benchmarks.chaos.faults.server import terminate_sessions
from benchmarks.chaos.proxy import NetworkMode

_BETWEEN_RESETS_SECONDS = 0.3
_LOGIN_SECONDS = (1.0, 3.0)


@asynccontextmanager
async def silent(context: RunContext) -> AsyncIterator[None]:
    """No data passes and no connection is closed; afterwards the connections are reset and their data is lost."""
    context.network.set_mode("silent")
    try:
        yield
    finally:
        context.network.reset_all()
        context.network.set_mode("normal")


@asynccontextmanager
async def slow(context: RunContext) -> AsyncIterator[None]:
    """Data is delayed by 5 to 100 ms in both directions."""
    context.network.slow_seconds = context.random.uniform(0.005, 0.1)
    async with _in_mode(context, "slow"):
        yield


@asynccontextmanager
async def reset(context: RunContext) -> AsyncIterator[None]:
    """Every connection is reset, a few times a second."""

    async def reset_repeatedly() -> None:
        while True:
            context.network.reset_all()
            await asyncio.sleep(_BETWEEN_RESETS_SECONDS * context.random.random())

    resetting = asyncio.create_task(reset_repeatedly(), name="resets")
    try:
        yield
    finally:
        resetting.cancel()
        await asyncio.gather(resetting, return_exceptions=True)


@asynccontextmanager
async def slow_logins(context: RunContext) -> AsyncIterator[None]:
    """Every connection is reset, and each new one takes 1 to 3 s before it reaches the database."""
    context.network.login_seconds = context.random.uniform(*_LOGIN_SECONDS)
    context.network.reset_all()
    try:
        yield
    finally:
        context.network.login_seconds = 0.0


@asynccontextmanager
async def silent_first_host(context: RunContext) -> AsyncIterator[None]:
    """Of two hosts in the URL the first accepts connections and stays silent; all sessions are terminated."""
    context.first_host.set_mode("silent")
    await terminate_sessions(context.database)
    try:
        yield
    finally:
        context.first_host.reset_all()
        context.first_host.set_mode("normal")


@asynccontextmanager
async def cut_after_commit(context: RunContext) -> AsyncIterator[None]:
    """Rows are committed, but the connection is reset before the daemon receives the confirmation."""
    async with _in_mode(context, "cut_after_commit"):
        yield


@asynccontextmanager
async def _in_mode(context: RunContext, mode: NetworkMode) -> AsyncIterator[None]:
    context.network.set_mode(mode)
    try:
        yield
    finally:
        context.network.set_mode("normal")
