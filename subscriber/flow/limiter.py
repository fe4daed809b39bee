"""The gate before the database: one real number says how many writes may be at work on average.

At 2.5 there are three places and each rests a fifth of its working time after a write; at 0.05 there is one
place that rests nineteen times as long as it worked. So a limit below one is a duty cycle (a single bulk writer can
saturate a small database) and the formula is the same everywhere: `rest = worked × (places ÷ limit − 1)`.

Growth wakes who waits; shrinking lets holders finish; a rest lasts as long as the limit in force asks. Cancelled
waiters take no place with them. Paused, the gate lets nobody in, whatever the limit; who is inside finishes.

It keeps two running totals for whoever sets the limit: how much its places were used, and how long a write that was
due had to wait for one.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from subscriber.flow.wakeup import Waiters
from subscriber.signals import GateUsage

REST_COUNTS_AT_MOST_SECONDS = 0.5
"""A write longer than this counts as this long when its rest is measured: one slow write must not silence us."""


def places_for(limit: float) -> int:
    """How many writes may be at work at once under `limit`: the next whole number, at least one."""
    return max(1, math.ceil(limit - 1e-9))


def rest_after(worked_seconds: float, limit: float) -> float:
    """Seconds a place rests after a write of `worked_seconds`, so that on average `limit` places are at work."""
    return min(worked_seconds, REST_COUNTS_AT_MOST_SECONDS) * (places_for(limit) / limit - 1)


class _Rest:
    """A place that rests."""

    __slots__ = ("began_at", "timer", "worked_seconds")

    def __init__(self, began_at: float, worked_seconds: float) -> None:
        self.began_at = began_at
        self.worked_seconds = worked_seconds
        self.timer: asyncio.TimerHandle | None = None

    def ends_at(self, limit: float) -> float:
        """When it is over, loop's clock."""
        return self.began_at + rest_after(self.worked_seconds, limit)

    def cancel(self) -> None:
        """Its end is no longer waited for."""
        if self.timer is not None:
            self.timer.cancel()


class Place:
    """One that was taken, and that is left to others while its holder waits for something else than its write."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._taken_at: float | None = asyncio.get_running_loop().time()

    def leave(self, *, rest: bool) -> None:
        """Give it back, if it is held."""
        if self._taken_at is None:
            return
        worked = asyncio.get_running_loop().time() - self._taken_at
        self._taken_at = None
        self._gate.leave(worked, rest=rest)

    async def take_again(self) -> None:
        """Wait for a place once more, having left the last one."""
        await self._gate.enter(again=True)
        self._taken_at = asyncio.get_running_loop().time()


class Gate:
    """Hands out places; knows nothing of what is done in them.

    Args:
        limit: concurrent writes on average, above zero.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._at_work = 0
        self._rests: set[_Rest] = set()
        self._waiters = Waiters()
        self._draining = False
        self._paused = False
        self._is_short = False
        """Whether a write that is due waits for a place now."""
        self._place_seconds = 0.0
        self._shortage_seconds = 0.0
        self._summed_at = 0.0
        self._ring: Callable[[], None] | None = None

    def __repr__(self) -> str:
        places = f"{self._at_work} at work, {len(self._rests)} resting, {len(self._waiters)} waiting"
        return f"<Gate limit {self._limit:g}: {places}>"

    @property
    def limit(self) -> float:
        """Concurrent writes on average."""
        return self._limit

    @property
    def at_work(self) -> int:
        """Places taken now."""
        return self._at_work

    @property
    def has_room(self) -> bool:
        """Whether a write could start now without waiting."""
        return not self._paused and self._has_place

    @property
    def _has_place(self) -> bool:
        return self._at_work + len(self._rests) < places_for(self._limit)

    def usage(self) -> GateUsage:
        """The totals up to now."""
        self._sum_up()
        return GateUsage(place_seconds=self._place_seconds, shortage_seconds=self._shortage_seconds)

    def watch(self, ring: Callable[[], None]) -> None:
        """Call `ring` whenever room may have appeared."""
        self._ring = ring

    def set_limit(self, limit: float) -> None:
        """Change the number. Holders above a smaller limit finish; waiters under a larger one start.

        Rests are measured anew: a new task's first one, at a twentieth of a write, may be of seconds, and is not
        served to its end under a limit that has long been larger.

        Raises:
            ValueError: not a finite number above zero.
        """
        if not (math.isfinite(limit) and limit > 0):
            raise ValueError(f"a limit is a finite number above zero, not {limit}")
        self._limit = limit
        for rest in self._rests:
            rest.cancel()
            self._wait_for_end_of(rest)
        self._room_appeared()

    def pause(self) -> None:
        """Let nobody in until `resume`. Who is inside finishes; a line that runs dry is not held up."""
        self._sum_up()
        self._paused = not self._draining

    def resume(self) -> None:
        """Let in again."""
        self._sum_up()
        self._paused = False
        self._room_appeared()

    def note_shortage(self) -> None:
        """A write that is due waits for room here, outside of `enter`; that ends when a place is next taken."""
        if not self._is_short:
            self._sum_up()
            self._is_short = True

    def drain(self) -> None:
        """The line is running dry: end all rests and take no more, and end a pause."""
        self._sum_up()
        self._draining = True
        self._paused = False
        for rest in self._rests:
            rest.cancel()
        self._rests.clear()
        self._room_appeared()

    async def enter(self, *, again: bool = False) -> None:
        """Take a place, waiting for one. Cancelled, none was taken.

        Args:
            again: whoever was inside already, and has not finished, is let in though the gate is paused.
        """
        try:
            while not (self._has_place if again else self.has_room):
                self.note_shortage()
                await self._waiters.wait()
        except asyncio.CancelledError:
            self._sum_up()
            self._is_short = len(self._waiters) > 0
            raise
        self._sum_up()
        self._at_work += 1
        self._is_short = len(self._waiters) > 0

    def leave(self, worked_seconds: float, *, rest: bool = True) -> None:
        """Give the place back after `worked_seconds`.

        Args:
            worked_seconds: how long the place was at work.
            rest: False where the caller waits in a way of its own, as after a failure.
        """
        self._sum_up()
        self._at_work -= 1
        if rest and not self._draining and rest_after(worked_seconds, self._limit) > 0:
            begun = _Rest(self._summed_at, worked_seconds)
            self._rests.add(begun)
            self._wait_for_end_of(begun)
        else:
            self._room_appeared()

    def _sum_up(self) -> None:
        # Before every change of what is summed, so that each stretch of time counts with what held during it.
        now = asyncio.get_running_loop().time()
        elapsed, self._summed_at = now - self._summed_at, now
        self._place_seconds += self._at_work * elapsed
        if self._is_short and not self._paused:
            self._shortage_seconds += elapsed

    def _wait_for_end_of(self, rest: _Rest) -> None:
        def end() -> None:
            self._rests.discard(rest)
            self._room_appeared()

        rest.timer = asyncio.get_running_loop().call_at(rest.ends_at(self._limit), end)

    def _room_appeared(self) -> None:
        self._waiters.wake_all()
        if self._ring is not None:
            self._ring()
