"""The real daemon as ECS would run it: it says who it is, and asks for protection while it is at work."""

from __future__ import annotations

import asyncio

from subscriber.errors import ExitCode
from tests.e2e.environment import RunContext, put_body
from tests.fakes.ecs_agent import TASK_ID, FakeEcsAgent, ecs_agent


async def until_protected(scene: RunContext, agent: FakeEcsAgent) -> None:
    """Hold up a write for as long as it takes until protection is asked for."""
    async with asyncio.timeout(20), scene.writes_blocked():
        scene.send([put_body("one.txt")])
        await agent.asked.wait()


async def test_a_task_of_ecs(scene: RunContext) -> None:
    """The task id is in the log and in pg_stat_activity; while writes hang the task is protected; it stops dry."""
    async with ecs_agent() as agent:
        with scene.daemon_with(scene.environment() | agent.environment) as daemon:
            started = await asyncio.to_thread(daemon.wait_for, "pipeline.started")
            assert started["worker"] == TASK_ID
            assert daemon.events("worker.named")[0]["service"] == "subscriber"
            names = await scene.fetch("SELECT application_name FROM pg_stat_activity")
            assert f"subscriber-{TASK_ID}" in {row["application_name"] for row in names}
            await until_protected(scene, agent)
            await scene.until_empty()
            assert agent.requests == [{"ProtectionEnabled": True, "ExpiresInMinutes": 10}]
            assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


async def test_an_agent_that_fails_costs_a_line(scene: RunContext) -> None:
    """Metadata and protection out of order: the line works as everywhere else."""
    async with ecs_agent() as agent:
        environment = agent.environment
    with scene.daemon_with(scene.environment() | environment) as daemon:
        scene.send([put_body("one.txt")])
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        await scene.until_empty()
        assert [line["variable"] for line in daemon.events("worker.unnamed")] == ["ECS_CONTAINER_METADATA_URI_V4"]
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
