"""The loop beside the line, in virtual time: what it asks, what it says, and that it ends when told."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from subscriber.adapters.ecs.answers import Denied, Granted, denied
from subscriber.adapters.ecs.policy import Order
from subscriber.adapters.ecs.protection import task_protection


class Scripted:
    """An agent that answers as told, and agreeably afterwards."""

    def __init__(self, *answers: Granted | Denied) -> None:
        self._answers = list(answers)
        self.given: list[tuple[float, Order]] = []

    async def give(self, order: Order) -> Granted | Denied:
        """Note the order and its time."""
        self.given.append((asyncio.get_running_loop().time() - 1000, order))
        return self._answers.pop(0) if self._answers else Granted()


class Stuck:
    """An agent that never answers."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def give(self, order: Order) -> Granted | Denied:
        """Wait for ever."""
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError(order)


async def test_protected_while_at_work_and_released_when_idle() -> None:
    """Work for a minute: one order each way, one line each."""
    agent = Scripted()
    with structlog.testing.capture_logs() as lines:
        async with task_protection(agent, lambda: asyncio.get_running_loop().time() < 1060):
            await asyncio.sleep(200)
    assert agent.given == [(5, "protect"), (90, "release")]
    assert [line["event"] for line in lines] == ["protection.set", "protection.released"]


async def test_each_kind_of_failure_is_told_once() -> None:
    """However often it comes again; another kind is another line, and the advice is in it."""
    throttled, refused = denied("ThrottlingException", "Rate exceeded"), denied("AccessDeniedException", "no")
    agent = Scripted(throttled, throttled, refused, throttled)
    with structlog.testing.capture_logs() as lines:
        async with task_protection(agent, lambda: True):
            await asyncio.sleep(120)
    assert len(agent.given) == 3
    assert [(line["event"], line["code"]) for line in lines] == [
        ("protection.denied", "ThrottlingException"),
        ("protection.denied", "AccessDeniedException"),
    ]
    assert lines[1] == {
        "event": "protection.denied",
        "log_level": "warning",
        "order": "protect",
        "code": "AccessDeniedException",
        "detail": "no",
        "advice": "Give the task role ecs:UpdateTaskProtection (config/ecs/task-role-policy.json).",
    }


async def test_a_renewal_is_no_line() -> None:
    """Ten minutes of work are one line."""
    agent = Scripted()
    with structlog.testing.capture_logs() as lines:
        async with task_protection(agent, lambda: True):
            await asyncio.sleep(600)
    assert agent.given == [(5, "protect"), (306, "protect")]
    assert [line["event"] for line in lines] == ["protection.set"]


async def test_the_end_does_not_wait_for_the_agent() -> None:
    """A call that hangs is cut off when the block ends."""
    agent = Stuck()
    async with asyncio.timeout(60), task_protection(agent, lambda: True):
        await agent.asked.wait()
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "protection"] == []


class Faulty:
    """An agent that breaks its promise."""

    async def give(self, order: Order) -> Granted | Denied:
        """Raise."""
        raise RuntimeError(order)


async def test_a_fault_of_ours_is_told_and_ends_nothing() -> None:
    """The block goes on and ends as it would have."""
    with structlog.testing.capture_logs() as lines:
        async with task_protection(Faulty(), lambda: True):
            await asyncio.sleep(20)
    assert lines == [
        {"event": "protection.broken", "log_level": "error", "detail": "RuntimeError('protect')"},
    ]


async def test_without_an_agent_nothing_runs() -> None:
    """Outside of ECS there is no such task."""
    async with task_protection(None, lambda: pytest.fail("nobody looks")):
        await asyncio.sleep(100)
        assert [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "protection"] == []
