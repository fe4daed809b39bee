"""Over HTTP: what is sent to the agent, and what is made of everything it may answer."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from subscriber.adapters.ecs import agent as edge
from subscriber.adapters.ecs.agent import EcsAgent, task_identity
from subscriber.adapters.ecs.answers import Denied, Granted, TaskIdentity
from tests.adapters.aws.scripted_server import Server, running
from tests.fakes.ecs_agent import TASK_ARN, TASK_ID, Answer, ecs_agent, error, failure, protection

IDENTITY = TaskIdentity(
    arn=TASK_ARN,
    cluster="lake",
    service="subscriber",
    family="subscriber",
    revision="26",
    availability_zone="us-west-2d",
)
DENIALS: list[tuple[Answer, str, bool]] = [
    (failure("TASK_NOT_VALID"), "TASK_NOT_VALID", True),
    (failure("DEPLOYMENT_BLOCKED", "3 tasks are protected"), "DEPLOYMENT_BLOCKED", False),
    (error(400, "AccessDeniedException", "not authorized", "12345-abc"), "AccessDeniedException", True),
    (error(403, "AccessDeniedException", "no task IAM role credentials"), "AccessDeniedException", True),
    (error(404, "ResourceNotFoundException", "Failed to find a task"), "ResourceNotFoundException", True),
    (error(400, "ClusterNotFoundException", "Cluster not found."), "ClusterNotFoundException", True),
    (error(400, "UnsupportedFeatureException", "no"), "UnsupportedFeatureException", True),
    (error(400, "InvalidParameterException", "expiresInMinutes"), "InvalidParameterException", True),
    (error(400, "ThrottlingException", "Rate exceeded", "12345-abc"), "ThrottlingException", False),
    (error(400, "ClientException", "no"), "ClientException", False),
    (error(500, "ServerException", "Unexpected error occurred"), "ServerException", False),
    (error(504, "RequestCanceled", "Timed out calling ECS Task Protection API"), "RequestCanceled", False),
    (error(500, "RequestError", "send request failed"), "RequestError", False),
    (error(500, "RequestTimeout", "no answer"), "RequestTimeout", False),
    (error(500, "SomethingNew", "of next year"), "SomethingNew", False),
    ((404, "404 page not found\n"), "HTTP 404", True),
    ((502, "<html>bad gateway</html>"), "HTTP 502", False),
    ((200, ""), "HTTP 200", False),
    ((200, "[]"), "HTTP 200", False),
    ((200, {"protection": {"ProtectionEnabled": "yes"}}), "HTTP 200", False),
    (protection(is_enabled=False), "NotApplied", False),
]


async def test_an_order_is_passed_on() -> None:
    """Protection is asked for with its expiry, and released without one."""
    async with ecs_agent() as agent:
        ours = EcsAgent.of(agent.environment)
        assert ours is not None
        assert [await ours.give("protect"), await ours.give("release")] == [Granted(), Granted()]
    assert agent.requests == [{"ProtectionEnabled": True, "ExpiresInMinutes": 10}, {"ProtectionEnabled": False}]


@pytest.mark.parametrize(("answer", "code", "is_lasting"), DENIALS, ids=lambda value: str(value)[:40])
async def test_every_answer_has_its_word(answer: Answer, code: str, is_lasting: bool) -> None:
    """Each documented failure, and each that is not, is told by its code and never raised."""
    async with ecs_agent() as agent:
        agent.answers.append(answer)
        said = await EcsAgent(agent.environment["ECS_AGENT_URI"]).give("protect")
    assert isinstance(said, Denied)
    assert (said.code, said.is_lasting) == (code, is_lasting)
    assert said.advice


async def test_a_denial_says_what_the_agent_said() -> None:
    """The message, and the request a support case would ask for."""
    async with ecs_agent() as agent:
        agent.answers.append(error(400, "AccessDeniedException", "not authorized", "12345-abc"))
        said = await EcsAgent(agent.environment["ECS_AGENT_URI"]).give("protect")
    assert said == Denied(
        code="AccessDeniedException",
        detail="not authorized (request 12345-abc)",
        advice="Give the task role ecs:UpdateTaskProtection (config/ecs/task-role-policy.json).",
        is_lasting=True,
    )


async def test_an_agent_that_is_not_there() -> None:
    """Nobody listens."""
    async with ecs_agent() as agent:
        address = agent.environment["ECS_AGENT_URI"]
    said = await EcsAgent(address).give("release")
    assert isinstance(said, Denied)
    assert said.code == "Unreachable"


@pytest.mark.parametrize("address", ["", "not an address", "http://[bad"])
async def test_an_address_that_is_none(address: str) -> None:
    """Whatever the variable holds, nothing is raised."""
    said = await EcsAgent(address).give("protect")
    assert isinstance(said, Denied)
    assert said.code == "Unreachable"


async def silent(server: Server, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Takes the request and says nothing."""
    await server.request(reader)
    await reader.read()


async def test_an_agent_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call ends by itself."""
    monkeypatch.setattr(edge, "PROTECTION_SECONDS", 0.05)
    async with running(silent) as (_, port):
        said = await EcsAgent(f"http://127.0.0.1:{port}").give("protect")
    assert isinstance(said, Denied)
    assert said.code == "Timeout"


async def endless(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers without end."""
    await server.request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    while True:
        writer.write(b" " * 65_536)
        await writer.drain()


async def test_an_answer_without_end_is_cut_off() -> None:
    """No more is read than any answer can need."""
    async with running(endless) as (_, port):
        said = await EcsAgent(f"http://127.0.0.1:{port}").give("protect")
    assert isinstance(said, Denied)
    assert said.code == "HTTP 200"


async def test_a_cancelled_order_leaves_nothing_open() -> None:
    """The connection is closed; an unclosed session would be a warning, which is an error here."""
    async with running(silent) as (server, port):
        giving = asyncio.create_task(EcsAgent(f"http://127.0.0.1:{port}").give("protect"), name="giving")
        await server.asked.wait()
        giving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await giving
        await server.left.wait()


def test_nothing_is_asked_outside_of_ecs() -> None:
    """Without the variables there is no agent."""
    assert EcsAgent.of({}) is None


async def test_no_identity_outside_of_ecs() -> None:
    """And nobody is asked who we are."""
    assert await task_identity({}) is None


async def test_the_task_id_is_the_worker() -> None:
    """The metadata tell who we are; the last part of the ARN is our name."""
    async with ecs_agent() as agent:
        with structlog.testing.capture_logs() as lines:
            task = await task_identity(agent.environment)
    assert task == IDENTITY
    assert task.worker == TASK_ID
    assert [line["event"] for line in lines] == ["worker.named"]


async def test_metadata_that_come_late_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint may not be ready when the container is."""
    monkeypatch.setattr(edge, "IDENTITY_PAUSE_SECONDS", 0.01)
    async with ecs_agent() as agent:
        agent.metadata_answers += [(500, "not yet"), (200, "{}")]
        assert await task_identity(agent.environment) == IDENTITY


async def test_without_metadata_the_start_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three tries, one line, and no name."""
    monkeypatch.setattr(edge, "IDENTITY_PAUSE_SECONDS", 0.01)
    async with ecs_agent() as agent:
        agent.metadata_answers += [(404, "no such container")] * 3
        with structlog.testing.capture_logs() as lines:
            assert await task_identity(agent.environment) is None
    assert lines == [
        {
            "event": "worker.unnamed",
            "log_level": "warning",
            "detail": "the task metadata endpoint answers 404",
            "variable": "ECS_CONTAINER_METADATA_URI_V4",
        }
    ]
