"""The ECS agent beside our task, over HTTP: who are we, and please protect us.

Both addresses are given to every container of a task by ECS, on a link-local host. So no proxy is used, and the calls
are so rare that each has a session of its own: nothing to close, nothing to leak.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp
import msgspec

from subscriber.adapters.ecs.answers import Denied, Granted, TaskIdentity, denied, read_identity, read_protection
from subscriber.adapters.ecs.policy import EXPIRES_IN_MINUTES, Order
from subscriber.errors import SensorError
from subscriber.observe.log import get_logger

METADATA_VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"
AGENT_VARIABLE = "ECS_AGENT_URI"

IDENTITY_SECONDS = 2.0
"""For one answer of the metadata endpoint, which has it at hand."""
IDENTITY_ATTEMPTS = 3
IDENTITY_PAUSE_SECONDS = 0.5
PROTECTION_SECONDS = 20.0
"""For one answer on protection: behind it the agent calls ECS, and says so itself when that takes too long."""
ANSWER_BYTES_AT_MOST = 65_536

_log = get_logger()


async def task_identity(environment: Mapping[str, str]) -> TaskIdentity | None:
    """Who we are to ECS; None outside of ECS, or where the agent does not say. The log tells, and nothing ends.

    It takes at most seven seconds.
    """
    base = environment.get(METADATA_VARIABLE)
    if not base:
        return None
    problem = ""
    for attempt in range(IDENTITY_ATTEMPTS):
        if attempt:
            await asyncio.sleep(IDENTITY_PAUSE_SECONDS)
        try:
            task = read_identity(*await _ask("GET", f"{base}/task", None, IDENTITY_SECONDS))
        except (SensorError, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            problem = str(error) or type(error).__name__
            continue
        _log.info("worker.named", **msgspec.structs.asdict(task))
        return task
    _log.warning("worker.unnamed", detail=problem, variable=METADATA_VARIABLE)
    return None


class EcsAgent:
    """The protection endpoint of the agent.

    Args:
        base: what ECS_AGENT_URI says.
    """

    def __init__(self, base: str) -> None:
        self._address = f"{base}/task-protection/v1/state"

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> EcsAgent | None:
        """The agent that this environment names; None: we are not on ECS."""
        base = environment.get(AGENT_VARIABLE)
        return cls(base) if base else None

    async def give(self, order: Order) -> Granted | Denied:
        """Ask for it and say what came of it. Never raises, whatever the agent does; cancelled, nobody knows."""
        wanted = order == "protect"
        body: dict[str, object] = {"ProtectionEnabled": wanted}
        if wanted:
            body["ExpiresInMinutes"] = EXPIRES_IN_MINUTES
        try:
            answer = await _ask("PUT", self._address, msgspec.json.encode(body), PROTECTION_SECONDS)
        except TimeoutError:
            return denied("Timeout", f"no answer within {PROTECTION_SECONDS:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: an address that is none
            return denied("Unreachable", str(error) or type(error).__name__)
        return read_protection(*answer, is_wanted=wanted)


async def _ask(method: str, address: str, body: bytes | None, seconds: float) -> tuple[int, bytes]:
    """Status and body of one answer, a body that is too long cut off."""
    headers = {"Content-Type": "application/json"} if body else {}
    async with (
        asyncio.timeout(seconds),
        aiohttp.ClientSession() as session,
        session.request(method, address, data=body, headers=headers, allow_redirects=False) as answer,
    ):
        read = bytearray()
        async for part in answer.content.iter_any():
            read += part
            if len(read) > ANSWER_BYTES_AT_MOST:
                break
        return answer.status, bytes(read[:ANSWER_BYTES_AT_MOST])
