"""Over HTTP: the requests to the agent, and the outcome of everything it may answer."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from subscriber.adapters.ecs import agent as agent_module
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


async def test_a_request_is_sent() -> None:
    """The request for protection has an expiry, the release has none."""
    async with ecs_agent() as agent:
        ours = EcsAgent.of(agent.environment)
        assert ours is not None
        assert [await ours.send("protect"), await ours.send("release")] == [Granted(), Granted()]
    assert agent.requests == [{"ProtectionEnabled": True, "ExpiresInMinutes": 10}, {"ProtectionEnabled": False}]


@pytest.mark.parametrize(("answer", "code", "is_lasting"), DENIALS, ids=lambda value: str(value)[:40])
async def test_every_answer_has_its_code(answer: Answer, code: str, is_lasting: bool) -> None:
    """Each failure, documented or not, is returned with its code and never raised."""
    async with ecs_agent() as agent:
        agent.answers.append(answer)
        outcome = await EcsAgent(agent.environment["ECS_AGENT_URI"]).send("protect")
    assert isinstance(outcome, Denied)
    assert (outcome.code, outcome.is_lasting) == (code, is_lasting)
    assert outcome.advice


async def test_a_denial_contains_the_agents_message() -> None:
    """And the request id, which a support case needs."""
    async with ecs_agent() as agent:
        agent.answers.append(error(400, "AccessDeniedException", "not authorized", "12345-abc"))
        outcome = await EcsAgent(agent.environment["ECS_AGENT_URI"]).send("protect")
    assert outcome == Denied(
        code="AccessDeniedException",
        detail="not authorized (request 12345-abc)",
        advice="Give the task role ecs:UpdateTaskProtection (config/ecs/task-role-policy.json).",
        is_lasting=True,
    )


async def test_an_agent_that_does_not_listen() -> None:
    """The connection fails."""
    async with ecs_agent() as agent:
        address = agent.environment["ECS_AGENT_URI"]
    outcome = await EcsAgent(address).send("release")
    assert isinstance(outcome, Denied)
    assert outcome.code == "Unreachable"


@pytest.mark.parametrize("address", ["", "not an address", "http://[bad"])
async def test_an_invalid_address(address: str) -> None:
    """Nothing is raised, whatever the variable contains."""
    outcome = await EcsAgent(address).send("protect")
    assert isinstance(outcome, Denied)
    assert outcome.code == "Unreachable"


async def silent(server: Server, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Reads the request and does not answer."""
    await server.request(reader)
    await reader.read()


async def test_an_agent_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call ends after its time limit."""
    monkeypatch.setattr(agent_module, "PROTECTION_SECONDS", 0.05)
    async with running(silent) as (_, port):
        outcome = await EcsAgent(f"http://127.0.0.1:{port}").send("protect")
    assert isinstance(outcome, Denied)
    assert outcome.code == "Timeout"


async def endless(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers without end."""
    await server.request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    while True:
        writer.write(b" " * 65_536)
        await writer.drain()


async def test_an_answer_without_end_is_cut_off() -> None:
    """The client reads no more than any answer needs."""
    async with running(endless) as (_, port):
        outcome = await EcsAgent(f"http://127.0.0.1:{port}").send("protect")
    assert isinstance(outcome, Denied)
    assert outcome.code == "HTTP 200"


async def test_a_cancelled_request_leaves_nothing_open() -> None:
    """The connection is closed; an unclosed session would be a warning, which is an error here."""
    async with running(silent) as (server, port):
        sending = asyncio.create_task(EcsAgent(f"http://127.0.0.1:{port}").send("protect"), name="sending")
        await server.received.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await server.left.wait()


def test_there_is_no_agent_outside_of_ecs() -> None:
    """Without its variable."""
    assert EcsAgent.of({}) is None


async def test_no_identity_outside_of_ecs() -> None:
    """And no request is made."""
    assert await task_identity({}) is None


async def test_the_task_id_is_the_worker() -> None:
    """The metadata contain the identity; the last part of the ARN is the name of the worker."""
    async with ecs_agent() as agent:
        with structlog.testing.capture_logs() as lines:
            task = await task_identity(agent.environment)
    assert task == IDENTITY
    assert task.worker == TASK_ID
    assert [line["event"] for line in lines] == ["worker.named"]


async def test_late_metadata_are_requested_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint may not be ready when the container is."""
    monkeypatch.setattr(agent_module, "IDENTITY_PAUSE_SECONDS", 0.01)
    async with ecs_agent() as agent:
        agent.metadata_answers += [(500, "not yet"), (200, "{}")]
        assert await task_identity(agent.environment) == IDENTITY


async def test_without_metadata_the_start_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three attempts, one log line, and no name."""
    monkeypatch.setattr(agent_module, "IDENTITY_PAUSE_SECONDS", 0.01)
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
