"""The task's scale-in protection, kept in step with its work by a small loop beside the line.

It looks at the line once a second, decides (`ecs_decision`), and now and then asks the agent. Whatever the agent does,
the line never waits for it: a failure is one line of the log for each of its kinds, and another try later.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from subscriber.adapters.ecs.answers import Denied, Granted
from subscriber.adapters.ecs.policy import Order, ProtectionState, answered, looked, order_at
from subscriber.observe.log import get_logger

LOOK_SECONDS = 1.0
CODES_TOLD_AT_MOST = 32
"""More kinds of failure than anybody has documented; whatever invents more of them does not fill the log."""

_log = get_logger()


class Agent(Protocol):
    """Whoever passes orders on to ECS."""

    async def give(self, order: Order) -> Granted | Denied:
        """Pass one on, and never raise."""
        ...


class TaskProtection:
    """The loop.

    Args:
        agent: whom to ask.
        is_at_work: whether the line holds messages now.
    """

    def __init__(self, agent: Agent, is_at_work: Callable[[], bool]) -> None:
        self._agent = agent
        self._is_at_work = is_at_work
        self._state = ProtectionState()
        self._told: set[str] = set()
        """The codes the log has heard of."""

    async def run(self) -> None:
        """Look, decide, ask; for ever. Cancelled, protection is left to its expiry: the task is ending anyway."""
        clock = asyncio.get_running_loop().time
        while True:
            now = clock()
            self._state = looked(self._state, now, is_at_work=self._is_at_work())
            order = order_at(self._state, now)
            if order is not None:
                answer = await self._agent.give(order)
                self._tell(order, answer)
                self._state = answered(self._state, now, order, answer)
            await asyncio.sleep(LOOK_SECONDS)

    def _tell(self, order: Order, answer: Granted | Denied) -> None:
        if isinstance(answer, Granted):
            is_renewal = order == "protect" and self._state.protected_until > asyncio.get_running_loop().time()
            if not is_renewal:
                _log.info("protection.set" if order == "protect" else "protection.released")
        elif answer.code not in self._told and len(self._told) < CODES_TOLD_AT_MOST:
            self._told.add(answer.code)
            _log.warning("protection.denied", order=order, code=answer.code, detail=answer.detail, advice=answer.advice)


@asynccontextmanager
async def task_protection(agent: Agent | None, is_at_work: Callable[[], bool]) -> AsyncIterator[None]:
    """Keep the task protected while it is at work, as long as the block runs; without an agent, nothing happens.

    A fault in here is told, and is nothing to the block.
    """
    if agent is None:
        yield
        return
    loop = asyncio.create_task(TaskProtection(agent, is_at_work).run(), name="protection")
    try:
        yield
    finally:
        loop.cancel()
        await asyncio.wait({loop})
        if not loop.cancelled() and (error := loop.exception()) is not None:
            _log.error("protection.broken", detail=repr(error))
