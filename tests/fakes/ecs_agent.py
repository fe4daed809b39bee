"""An ECS agent on a port of its own, with the answers of the real one: task metadata and scale-in protection.

Bodies are those of the ECS Developer Guide ("Task metadata endpoint version 4", "Task scale-in protection endpoint");
statuses are those of the agent's handlers, which answer a `failure` with 200.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

TASK_ID = "158d1c8083dd49d6b527399fd6414f5c"
TASK_ARN = f"arn:aws:ecs:us-west-2:111122223333:task/lake/{TASK_ID}"
METADATA: dict[str, Any] = {
    "Cluster": "lake",
    "ServiceName": "subscriber",
    "TaskARN": TASK_ARN,
    "Family": "subscriber",
    "Revision": "26",
    "DesiredStatus": "RUNNING",
    "KnownStatus": "RUNNING",
    "Limits": {"CPU": 0.5, "Memory": 1024},
    "AvailabilityZone": "us-west-2d",
    "LaunchType": "FARGATE",
    "Containers": [{"DockerId": "ea32192c", "Name": "subscriber", "Networks": [{"NetworkMode": "awsvpc"}]}],
}

Answer = tuple[int, dict[str, Any] | str]


def protection(*, is_enabled: bool) -> Answer:
    """Protection is set as requested."""
    expires = {"ExpirationDate": "2026-11-22T22:40:00Z"} if is_enabled else {}
    return 200, {"protection": {**expires, "ProtectionEnabled": is_enabled, "TaskArn": TASK_ARN}}


def failure(reason: str, detail: str | None = None) -> Answer:
    """ECS denies protection for this task."""
    return 200, {"failure": {"Arn": TASK_ARN, "Detail": detail, "Reason": reason}}


def error(status: int, code: str, message: str, request_id: str | None = None) -> Answer:
    """The call failed."""
    request = {"requestID": request_id} if request_id else {}
    return status, {**request, "error": {"Arn": TASK_ARN, "Code": code, "Message": message}}


class FakeEcsAgent:
    """Returns scripted answers; without one it grants every request."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        """Bodies of the protection requests."""
        self.answers: list[Answer] = []
        self.metadata_answers: list[Answer] = []
        self.requested = asyncio.Event()
        """Set at every protection request."""
        self.base = ""

    @property
    def environment(self) -> dict[str, str]:
        """The variables that ECS sets in the container."""
        return {
            "ECS_CONTAINER_METADATA_URI_V4": f"{self.base}/v4/ea32192c",
            "ECS_AGENT_URI": f"{self.base}/api/ea32192c",
        }

    def routes(self) -> list[web.RouteDef]:
        """Its endpoints."""
        return [
            web.get("/v4/ea32192c/task", self._task),
            web.put("/api/ea32192c/task-protection/v1/state", self._protect),
        ]

    async def _task(self, _request: web.Request) -> web.Response:
        return _response(self.metadata_answers.pop(0) if self.metadata_answers else (200, METADATA))

    async def _protect(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.requests.append(body)
        self.requested.set()
        return _response(self.answers.pop(0) if self.answers else protection(is_enabled=body["ProtectionEnabled"]))


def _response(answer: Answer) -> web.Response:
    status, body = answer
    return web.Response(status=status, text=body) if isinstance(body, str) else web.json_response(body, status=status)


@asynccontextmanager
async def ecs_agent() -> AsyncIterator[FakeEcsAgent]:
    """An agent that runs as long as the block."""
    agent = FakeEcsAgent()
    application = web.Application()
    application.router.add_routes(agent.routes())
    async with TestServer(application, host="127.0.0.1") as server:
        agent.base = str(server.make_url("")).rstrip("/")
        yield agent
