"""An event loop with virtual time: its clock jumps to the next timer whenever no task is ready.

An hour of waiting takes no time, events keep the order of the real loop, and a test in which every task waits forever
fails at once with "deadlock" instead of running into its timeout.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that advances a clock where the real one would sleep."""

    advance: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready now; if nothing is, advance the clock."""
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise RuntimeError("deadlock: every task waits and no timer is set")
        self.advance(timeout)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Starts at second 1000 and never sleeps."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.advance = self._advance
        self._now = 1000.0
        super().__init__(selector)

    def time(self) -> float:
        """Virtual time, in seconds."""
        return self._now

    def _advance(self, seconds: float) -> None:
        self._now += max(0.0, seconds)


async def settle(rounds: int = 20) -> None:
    """Run every task that is ready, without advancing the clock."""
    for _ in range(rounds):
        await asyncio.sleep(0)
