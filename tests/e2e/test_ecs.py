"""The real daemon as an ECS task: it logs its task id and requests scale-in protection while it works."""

from __future__ import annotations

import asyncio

from subscriber.errors import ExitCode
from tests.e2e.environment import RunContext, put_body
from tests.fakes.ecs_agent import TASK_ID, FakeEcsAgent, ecs_agent


async def until_protected(context: RunContext, agent: FakeEcsAgent) -> None:
    """Block a write until protection is requested."""
    async with asyncio.timeout(20), context.writes_blocked():
        context.send([put_body("one.txt")])
        await agent.requested.wait()


async def test_an_ecs_task(context: RunContext) -> None:
    """The task id is in the log and in pg_stat_activity; while writes are blocked the task is protected."""
    async with ecs_agent() as agent:
        with context.daemon_with(context.environment() | agent.environment) as daemon:
            started = await asyncio.to_thread(daemon.wait_for, "pipeline.started")
            assert started["worker"] == TASK_ID
            assert daemon.events("worker.named")[0]["service"] == "subscriber"
            names = await context.fetch("SELECT application_name FROM pg_stat_activity")
            assert f"subscriber-{TASK_ID}" in {row["application_name"] for row in names}
            await until_protected(context, agent)
            await context.until_empty()
            assert agent.requests == [{"ProtectionEnabled": True, "ExpiresInMinutes": 10}]
            assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


async def test_an_agent_that_fails_is_logged(context: RunContext) -> None:
    """Without metadata and protection the pipeline works as usual."""
    async with ecs_agent() as agent:
        environment = agent.environment
    with context.daemon_with(context.environment() | environment) as daemon:
        context.send([put_body("one.txt")])
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        await context.until_empty()
        assert [line["variable"] for line in daemon.events("worker.unnamed")] == ["ECS_CONTAINER_METADATA_URI_V4"]
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
