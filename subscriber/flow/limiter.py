"""The concurrency limiter in front of the database: a real number of concurrent writes, on average.

At 2.5 there are three permits, and each cools down for a fifth of its working time after a write; at 0.05 there is one
permit that cools down nineteen times as long as it worked. So a limit below one is a duty cycle (a single bulk writer
can saturate a small database) and the formula is the same everywhere: `cool_down = worked × (permits ÷ limit − 1)`.

Raising the limit wakes waiters; lowering it lets current holders finish; the current limit determines the length of
every cool-down. A cancelled waiter holds no permit. A paused limiter grants no permit; current holders finish.

Work that is not urgent takes its permits behind the writes: it gives way to every write that is due, but not forever.
After that the next permit is kept for it, so that writes without a break do not stop it for good.

Two running totals serve the regulator: how much the permits were used, and how long a write that was due had to wait
for one.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from subscriber.flow.wakeup import Waiters
from subscriber.signals import LimiterUsage

COUNTED_WRITE_SECONDS_AT_MOST = 0.5
"""The longest write time that counts for a cool-down: one slow write must not stop all writes for minutes."""


def permits_for(limit: float) -> int:
    """How many writes may run at once under `limit`: the next whole number, at least one."""
    return max(1, math.ceil(limit - 1e-9))


def cool_down_after(worked_seconds: float, limit: float) -> float:
    """Seconds of cool-down after a write of `worked_seconds`, so that on average `limit` permits are in use."""
    return min(worked_seconds, COUNTED_WRITE_SECONDS_AT_MOST) * (permits_for(limit) / limit - 1)


class _CoolDown:
    """A permit in its cool-down."""

    __slots__ = ("began_at", "timer", "worked_seconds")

    def __init__(self, began_at: float, worked_seconds: float) -> None:
        self.began_at = began_at
        self.worked_seconds = worked_seconds
        self.timer: asyncio.TimerHandle | None = None

    def ends_at(self, limit: float) -> float:
        """When it ends under `limit`, on the loop's clock."""
        return self.began_at + cool_down_after(self.worked_seconds, limit)

    def cancel(self) -> None:
        """Cancel the timer of its end."""
        if self.timer is not None:
            self.timer.cancel()


class Permit:
    """A permit of the limiter; its holder releases it while waiting for anything but its write."""

    def __init__(self, limiter: ConcurrencyLimiter) -> None:
        self._limiter = limiter
        self._taken_at: float | None = asyncio.get_running_loop().time()

    def release(self, *, cool_down: bool) -> None:
        """Release it, if it is held."""
        if self._taken_at is None:
            return
        worked = asyncio.get_running_loop().time() - self._taken_at
        self._taken_at = None
        self._limiter.release(worked, cool_down=cool_down)

    async def hold(self) -> None:
        """Wait for a permit, unless it is held."""
        if self._taken_at is None:
            await self.reacquire()

    async def reacquire(self) -> None:
        """Wait for a permit again, after a release."""
        await self._limiter.acquire(again=True)
        self._taken_at = asyncio.get_running_loop().time()


class ConcurrencyLimiter:
    """Grants permits.

    Args:
        limit: concurrent writes on average, above zero.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._at_work = 0
        self._cool_downs: set[_CoolDown] = set()
        self._waiters = Waiters()
        self._behind = Waiters()
        """Those that give way to writes."""
        self._kept_permits = 0
        """Permits that are kept for those who have given way long enough."""
        self._draining = False
        self._paused = False
        self._is_saturated = False
        """Whether a write that is due waits for a permit now."""
        self._permit_seconds = 0.0
        self._saturated_seconds = 0.0
        self._summed_at = 0.0
        self._notify: Callable[[], None] | None = None

    def __repr__(self) -> str:
        permits = f"{self._at_work} at work, {len(self._cool_downs)} cooling down, {len(self._waiters)} waiting"
        return f"<ConcurrencyLimiter limit {self._limit:g}: {permits}>"

    @property
    def limit(self) -> float:
        """Concurrent writes on average."""
        return self._limit

    @property
    def at_work(self) -> int:
        """Permits in use now."""
        return self._at_work

    @property
    def is_paused(self) -> bool:
        """Whether an operator paused the writes."""
        return self._paused

    @property
    def has_capacity(self) -> bool:
        """Whether a write could start now, without waiting."""
        return not self._paused and self._has_permit

    @property
    def _has_permit(self) -> bool:
        # In a pause nobody takes a kept permit, and an unfinished write must not wait for one.
        return self._free_permits > (0 if self._paused else self._kept_permits)

    @property
    def _free_permits(self) -> int:
        return permits_for(self._limit) - self._at_work - len(self._cool_downs)

    def usage(self) -> LimiterUsage:
        """Running totals up to now."""
        self._sum_up()
        return LimiterUsage(permit_seconds=self._permit_seconds, saturated_seconds=self._saturated_seconds)

    def watch(self, notify: Callable[[], None]) -> None:
        """Call `notify` whenever a permit may have become available."""
        self._notify = notify

    def set_limit(self, limit: float) -> None:
        """Change the limit. Current holders finish; under a larger limit waiters start.

        Cool-downs are recomputed: the first one of a new task, at a limit of 0.05, may take seconds, and must not
        last after the limit has risen.

        Raises:
            ValueError: not a finite number above zero.
        """
        if not (math.isfinite(limit) and limit > 0):
            raise ValueError(f"a limit is a finite number above zero, not {limit}")
        self._limit = limit
        for cool_down in self._cool_downs:
            cool_down.cancel()
            self._wait_for_end_of(cool_down)
        self._capacity_freed()

    def pause(self) -> None:
        """Grant no permit until `resume`. Current holders finish; a pipeline that drains is not held up."""
        self._sum_up()
        self._paused = not self._draining

    def resume(self) -> None:
        """Grant permits again."""
        self._sum_up()
        self._paused = False
        self._capacity_freed()

    def mark_saturated(self) -> None:
        """Record that a write that is due waits for a permit outside of `acquire`; taking the next permit ends that."""
        if not self._is_saturated:
            self._sum_up()
            self._is_saturated = True

    def drain(self) -> None:
        """End all cool-downs and a pause, and begin no more of them: the pipeline drains."""
        self._sum_up()
        self._draining = True
        self._paused = False
        for cool_down in self._cool_downs:
            cool_down.cancel()
        self._cool_downs.clear()
        self._capacity_freed()

    async def acquire(self, *, again: bool = False) -> None:
        """Take a permit, waiting for one; cancelled, it has taken none.

        Args:
            again: for an unfinished write that had a permit before: a pause does not hold it up.
        """
        try:
            while not (self._has_permit if again else self.has_capacity):
                self.mark_saturated()
                await self._waiters.wait()
        except asyncio.CancelledError:
            self._sum_up()
            self._is_saturated = len(self._waiters) > 0
            raise
        self._sum_up()
        self._at_work += 1
        self._is_saturated = len(self._waiters) > 0
        if self._behind and not self._is_saturated:
            self._behind.wake_all()  # no write waits any longer, and there may be a permit left

    async def acquire_behind(self, patience_seconds: float) -> None:
        """Take a permit that no write waits for; after `patience_seconds` the next one. Cancelled, it has taken none.

        It is no evidence that the limit is too small: only writes that wait are.
        """
        try:
            async with asyncio.timeout(patience_seconds):
                while self._is_saturated or not self.has_capacity:
                    await self._behind.wait()
        except TimeoutError:
            await self._keep_next_permit()
        self._sum_up()
        self._at_work += 1

    def release(self, worked_seconds: float, *, cool_down: bool = True) -> None:
        """Release the permit.

        Args:
            worked_seconds: how long the write took.
            cool_down: False where the caller waits in another way, as after a failure.
        """
        self._sum_up()
        self._at_work -= 1
        if cool_down and not self._draining and cool_down_after(worked_seconds, self._limit) > 0:
            begun = _CoolDown(self._summed_at, worked_seconds)
            self._cool_downs.add(begun)
            self._wait_for_end_of(begun)
        else:
            self._capacity_freed()

    async def _keep_next_permit(self) -> None:
        """Wait for the next permit, which no write may take before; it is not taken yet."""
        self._kept_permits += 1
        try:
            while self._paused or self._free_permits < 1:
                await self._behind.wait()
        except asyncio.CancelledError:
            self._kept_permits -= 1
            self._capacity_freed()
            raise
        self._kept_permits -= 1

    def _sum_up(self) -> None:
        # Before every change of the summed values, so that each interval counts with the values of that interval.
        now = asyncio.get_running_loop().time()
        elapsed, self._summed_at = now - self._summed_at, now
        self._permit_seconds += self._at_work * elapsed
        if self._is_saturated and not self._paused:
            self._saturated_seconds += elapsed

    def _wait_for_end_of(self, cool_down: _CoolDown) -> None:
        def end() -> None:
            self._cool_downs.discard(cool_down)
            self._capacity_freed()

        cool_down.timer = asyncio.get_running_loop().call_at(cool_down.ends_at(self._limit), end)

    def _capacity_freed(self) -> None:
        self._waiters.wake_all()
        if self._notify is not None:
            self._notify()
        if self._behind:
            self._behind.wake_all()  # after the writes, which take theirs first
