"""Keeps the task's scale-in protection in step with its work, in a small loop beside the pipeline.

Once a second the loop checks whether the pipeline is at work, decides (`policy`), and sometimes calls the agent. The
pipeline never waits for the agent: a failure is one log line per kind, and a retry later.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from subscriber.adapters.ecs.answers import Denied, Granted
from subscriber.adapters.ecs.policy import ProtectionState, Request, answered, observed, request_at
from subscriber.observe.log import get_logger

LOOK_SECONDS = 1.0
CODES_LOGGED_AT_MOST = 32
"""More kinds of failure than are documented; an agent that invents more does not fill the log."""

_log = get_logger()


class Agent(Protocol):
    """Sends requests to ECS."""

    async def send(self, request: Request) -> Granted | Denied:
        """Send one, and never raise."""
        ...


class TaskProtection:
    """The loop.

    Args:
        agent: sends the requests.
        is_at_work: whether the pipeline holds messages now.
    """

    def __init__(self, agent: Agent, is_at_work: Callable[[], bool]) -> None:
        self._agent = agent
        self._is_at_work = is_at_work
        self._state = ProtectionState()
        self._logged_codes: set[str] = set()
        """The codes of denials that have been logged."""

    async def run(self) -> None:
        """Check, decide and call, forever. Cancelled, it leaves the protection to expire: the task ends anyway."""
        clock = asyncio.get_running_loop().time
        while True:
            now = clock()
            self._state = observed(self._state, now, is_at_work=self._is_at_work())
            request = request_at(self._state, now)
            if request is not None:
                answer = await self._agent.send(request)
                self._log_answer(request, answer)
                self._state = answered(self._state, now, request, answer)
            await asyncio.sleep(LOOK_SECONDS)

    def _log_answer(self, request: Request, answer: Granted | Denied) -> None:
        if isinstance(answer, Granted):
            is_renewal = request == "protect" and self._state.protected_until > asyncio.get_running_loop().time()
            if not is_renewal:
                _log.info("protection.set" if request == "protect" else "protection.released")
        elif answer.code not in self._logged_codes and len(self._logged_codes) < CODES_LOGGED_AT_MOST:
            self._logged_codes.add(answer.code)
            _log.warning(
                "protection.denied", request=request, code=answer.code, detail=answer.detail, advice=answer.advice
            )


@asynccontextmanager
async def task_protection(agent: Agent | None, is_at_work: Callable[[], bool]) -> AsyncIterator[None]:
    """Keep the task protected while it is at work, as long as the block runs; without an agent, do nothing.

    An unexpected exception of the loop is logged and does not reach the block.
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
