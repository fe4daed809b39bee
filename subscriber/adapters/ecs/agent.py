"""Calls the ECS agent beside our task over HTTP: for the identity of the task, and for its protection.

ECS gives both addresses to every container of a task, on a link-local host, so no proxy is used. The calls are so rare
that each opens a session of its own, and none stays open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp
import msgspec

from subscriber.adapters.ecs.answers import Denied, Granted, TaskIdentity, denied, read_identity, read_protection
from subscriber.adapters.ecs.policy import EXPIRES_IN_MINUTES, Request
from subscriber.errors import SensorError
from subscriber.observe.log import get_logger

METADATA_VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"
AGENT_VARIABLE = "ECS_AGENT_URI"

IDENTITY_SECONDS = 2.0
"""For one answer of the metadata endpoint, which has it in memory."""
IDENTITY_ATTEMPTS = 3
IDENTITY_PAUSE_SECONDS = 0.5
PROTECTION_SECONDS = 20.0
"""For one answer on protection: the agent calls ECS for it, and reports its own timeout."""
RESPONSE_BYTES_AT_MOST = 65_536

_log = get_logger()


async def task_identity(environment: Mapping[str, str]) -> TaskIdentity | None:
    """The identity of the task; None outside of ECS, or where the agent does not answer, which is logged.

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
        except (SensorError, aiohttp.ClientError, TimeoutError, OSError, ValueError, RuntimeError) as error:
            problem = str(error) or type(error).__name__
            continue
        _log.info("worker.named", **msgspec.structs.asdict(task))
        return task
    _log.warning("worker.unnamed", detail=problem, variable=METADATA_VARIABLE)
    return None


class EcsAgent:
    """The protection endpoint of the agent.

    Args:
        base: the value of ECS_AGENT_URI.
    """

    def __init__(self, base: str) -> None:
        self._address = f"{base}/task-protection/v1/state"

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> EcsAgent | None:
        """The agent that this environment names; None outside of ECS."""
        base = environment.get(AGENT_VARIABLE)
        return cls(base) if base else None

    async def send(self, request: Request) -> Granted | Denied:
        """Send the request and return its outcome; never raises. Cancelled, the outcome is unknown."""
        wanted = request == "protect"
        body: dict[str, object] = {"ProtectionEnabled": wanted}
        if wanted:
            body["ExpiresInMinutes"] = EXPIRES_IN_MINUTES
        try:
            answer = await _ask("PUT", self._address, msgspec.json.encode(body), PROTECTION_SECONDS)
        except TimeoutError:
            return denied("Timeout", f"no answer within {PROTECTION_SECONDS:g} s")
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:  # ValueError: an invalid address
            return denied("Unreachable", str(error) or type(error).__name__)
        return read_protection(*answer, is_wanted=wanted)


async def _ask(method: str, address: str, body: bytes | None, seconds: float) -> tuple[int, bytes]:
    """Status and body of one answer; a body that is too long is cut off."""
    headers = {"Content-Type": "application/json"} if body else {}
    async with (
        asyncio.timeout(seconds),
        aiohttp.ClientSession() as session,
        session.request(method, address, data=body, headers=headers, allow_redirects=False) as answer,
    ):
        read = bytearray()
        async for part in answer.content.iter_any():
            read += part
            if len(read) > RESPONSE_BYTES_AT_MOST:
                break
        return answer.status, bytes(read[:RESPONSE_BYTES_AT_MOST])
