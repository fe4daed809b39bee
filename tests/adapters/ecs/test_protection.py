"""The protection loop, in virtual time: its requests, its log lines, and its end."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from subscriber.adapters.ecs.answers import Denied, Granted, denied
from subscriber.adapters.ecs.policy import Request
from subscriber.adapters.ecs.protection import task_protection


class Scripted:
    """An agent that answers as scripted, and grants everything afterwards."""

    def __init__(self, *answers: Granted | Denied) -> None:
        self._answers = list(answers)
        self.sent: list[tuple[float, Request]] = []

    async def send(self, request: Request) -> Granted | Denied:
        """Record the request and its time."""
        self.sent.append((asyncio.get_running_loop().time() - 1000, request))
        return self._answers.pop(0) if self._answers else Granted()


class Stuck:
    """An agent that never answers."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def send(self, request: Request) -> Granted | Denied:
        """Wait forever."""
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError(request)


async def test_protected_while_at_work_and_released_when_idle() -> None:
    """Work for a minute: one request each way, one log line each."""
    agent = Scripted()
    with structlog.testing.capture_logs() as lines:
        async with task_protection(agent, lambda: asyncio.get_running_loop().time() < 1060):
            await asyncio.sleep(200)
    assert agent.sent == [(5, "protect"), (90, "release")]
    assert [line["event"] for line in lines] == ["protection.set", "protection.released"]


async def test_each_kind_of_failure_is_logged_once() -> None:
    """However often it repeats; another kind is another line, and the line contains the advice."""
    throttled, not_allowed = denied("ThrottlingException", "Rate exceeded"), denied("AccessDeniedException", "no")
    agent = Scripted(throttled, throttled, not_allowed, throttled)
    with structlog.testing.capture_logs() as lines:
        async with task_protection(agent, lambda: True):
            await asyncio.sleep(120)
    assert len(agent.sent) == 3
    assert [(line["event"], line["code"]) for line in lines] == [
        ("protection.denied", "ThrottlingException"),
        ("protection.denied", "AccessDeniedException"),
    ]
    assert lines[1] == {
        "event": "protection.denied",
        "log_level": "warning",
        "request": "protect",
        "code": "AccessDeniedException",
        "detail": "no",
        "advice": "Give the task role ecs:UpdateTaskProtection (config/ecs/task-role-policy.json).",
    }


async def test_a_renewal_is_no_line() -> None:
    """Ten minutes of work are one log line."""
    agent = Scripted()
    with structlog.testing.capture_logs() as lines:
        async with task_protection(agent, lambda: True):
            await asyncio.sleep(600)
    assert agent.sent == [(5, "protect"), (306, "protect")]
    assert [line["event"] for line in lines] == ["protection.set"]


async def test_the_end_does_not_wait_for_the_agent() -> None:
    """A call that hangs is cancelled when the block ends."""
    agent = Stuck()
    async with asyncio.timeout(60), task_protection(agent, lambda: True):
        await agent.asked.wait()
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "protection"] == []


class Faulty:
    """An agent that raises, against the protocol."""

    async def send(self, request: Request) -> Granted | Denied:
        """Raise."""
        raise RuntimeError(request)


async def test_a_bug_in_the_loop_is_logged_and_ends_nothing() -> None:
    """The block goes on and ends normally."""
    with structlog.testing.capture_logs() as lines:
        async with task_protection(Faulty(), lambda: True):
            await asyncio.sleep(20)
    assert lines == [
        {"event": "protection.broken", "log_level": "error", "detail": "RuntimeError('protect')"},
    ]


async def test_without_an_agent_nothing_runs() -> None:
    """Outside of ECS there is no such loop."""
    async with task_protection(None, lambda: pytest.fail("nothing asks")):
        await asyncio.sleep(100)
        assert [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "protection"] == []
