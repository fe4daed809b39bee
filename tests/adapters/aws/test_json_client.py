"""The thin client: who it says it is, what it makes of errors, and how it copes with a clock that is off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from subscriber.adapters.aws import json_client
from subscriber.adapters.aws.json_client import JsonClient
from subscriber.errors import QueueCallError

Answer = Callable[[web.Request], web.StreamResponse]


class Frozen(NamedTuple):
    """Credentials of a moment."""

    access_key: str
    secret_key: str
    token: str | None


class Renewing:
    """Credentials that are others every time they are asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def get_frozen_credentials(self) -> Frozen:
        """The next ones."""
        self.asked += 1
        return Frozen(f"key-{self.asked}", "secret", f"token-{self.asked}")


class Service:
    """A server that answers from a script and remembers what it was asked."""

    def __init__(self) -> None:
        self.script: list[Answer] = []
        self.requests: list[dict[str, str]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The next answer of the script, the last one again when it is used up."""
        self.requests.append({name.lower(): value for name, value in request.headers.items()})
        await request.read()
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return answer(request)


class Stage(NamedTuple):
    """A service and a client of it."""

    service: Service
    client: JsonClient


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Both, open."""
    service = Service()
    app = web.Application()
    app.router.add_post("/", service.handle)
    async with TestServer(app) as server:
        client = JsonClient(str(server.make_url("/")), "us-east-1", Renewing(), connections=2)
        yield Stage(service, client)
        await client.close()


def fine(_: web.Request) -> web.Response:
    """An empty success."""
    return web.Response(body=b"{}")


def fault(status: int, kind: str, query_code: str = "", date: datetime | None = None) -> Answer:
    """An error in AWS's shape."""
    headers = {"x-amzn-query-error": f"{query_code};Sender"} if query_code else {}
    if date is not None:
        headers["Date"] = format_datetime(date, usegmt=True)
    return lambda _: web.json_response({"__type": kind, "message": "because"}, status=status, headers=headers)


async def test_a_call_carries_only_what_is_signed_and_what_http_needs(stage: Stage) -> None:
    """Few headers: each costs on both sides of every call."""
    stage.service.script = [fine]
    assert await stage.client.call("AmazonSQS.ReceiveMessage", b"{}", 5) == b"{}"
    (request,) = stage.service.requests
    assert set(request) == {
        "host",
        "authorization",
        "content-type",
        "content-length",
        "x-amz-date",
        "x-amz-target",
        "x-amz-security-token",
    }


async def test_renewed_credentials_are_used_at_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their source is asked again when a second is over, and what it says is signed with, session token included."""
    monkeypatch.setattr(json_client, "CREDENTIALS_SECONDS", 0.0)
    stage.service.script = [fine]
    for _ in range(2):
        await stage.client.call("t", b"{}", 5)
    assert [request["x-amz-security-token"] for request in stage.service.requests] == ["token-1", "token-2"]
    assert [request["authorization"].split("=")[1].split("/")[0] for request in stage.service.requests] == [
        "key-1",
        "key-2",
    ]


async def test_a_source_of_credentials_is_asked_once_a_second(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each of a thousand calls; and a clock set back asks at once."""
    monkeypatch.setattr(json_client, "CREDENTIALS_SECONDS", 3600.0)
    stage.service.script = [fine]
    for _ in range(3):
        await stage.client.call("t", b"{}", 5)
    monkeypatch.setattr(json_client, "time", SimpleNamespace(time=lambda: 1_000_000_000.0))
    await stage.client.call("t", b"{}", 5)
    tokens = [request["x-amz-security-token"] for request in stage.service.requests]
    assert tokens == ["token-1", "token-1", "token-1", "token-2"]


async def test_a_source_of_credentials_that_hangs_is_given_up(stage: Stage) -> None:
    """The metadata service of a container may say nothing at all."""

    class Silent:
        async def get_frozen_credentials(self) -> Frozen:
            await asyncio.Event().wait()
            raise AssertionError

    client = JsonClient("http://127.0.0.1:9", "us-east-1", Silent(), connections=1)
    with pytest.raises(QueueCallError) as caught:
        await client.call("t", b"{}", 0.01)
    assert caught.value.code == "Timeout"
    await client.close()


@pytest.mark.parametrize(
    ("answer", "code", "is_permanent"),
    [
        (fault(400, "com.amazonaws.sqs#QueueDoesNotExist"), "QueueDoesNotExist", True),
        (
            fault(400, "com.amazonaws.sqs#QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"),
            "QueueDoesNotExist",
            True,
        ),
        (fault(403, "com.amazon.coral.service#AccessDeniedException"), "AccessDeniedException", True),
        (fault(400, "RequestThrottled", "RequestThrottled"), "RequestThrottled", False),
        (fault(403, "OverLimit", "OverLimit"), "OverLimit", False),
        (lambda _: web.Response(status=503, text="<html>busy</html>"), "Http503", False),
        (lambda _: web.Response(status=429), "Throttled", False),
    ],
)
async def test_errors_are_typed(stage: Stage, answer: Answer, code: str, *, is_permanent: bool) -> None:
    """The query protocol's code where there is one, a status where there is no shape at all."""
    stage.service.script = [answer]
    with pytest.raises(QueueCallError) as caught:
        await stage.client.call("t", b"{}", 5)
    assert (caught.value.code, caught.value.is_permanent) == (code, is_permanent)


async def test_a_clock_that_is_off_is_corrected_by_the_servers(stage: Stage) -> None:
    """After one refused call the next is signed with the server's time."""
    ahead = datetime.now(UTC) + timedelta(hours=3)
    stage.service.script = [fault(403, "InvalidSignatureException", date=ahead), fine]
    with pytest.raises(QueueCallError):
        await stage.client.call("t", b"{}", 5)
    await stage.client.call("t", b"{}", 5)
    signed = datetime.strptime(stage.service.requests[1]["x-amz-date"], "%Y%m%dT%H%M%S%z")
    assert abs(signed - ahead) < timedelta(minutes=1)


async def test_a_small_difference_is_not_corrected(stage: Stage) -> None:
    """A wrong secret is answered with the same code: that must not move the clock."""
    near = datetime.now(UTC) + timedelta(seconds=100)
    stage.service.script = [fault(403, "SignatureDoesNotMatch", date=near), fine]
    with pytest.raises(QueueCallError):
        await stage.client.call("t", b"{}", 5)
    await stage.client.call("t", b"{}", 5)
    signed = datetime.strptime(stage.service.requests[1]["x-amz-date"], "%Y%m%dT%H%M%S%z")
    assert abs(signed - datetime.now(UTC)) < timedelta(seconds=50)


async def test_a_server_that_says_nothing_ends_in_a_timeout() -> None:
    """The call is given up after its own time, waiting for a connection included."""
    forever = asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        await forever.wait()
        return web.Response()

    app = web.Application()
    app.router.add_post("/", silent)
    async with TestServer(app) as server:
        client = JsonClient(str(server.make_url("/")), "us-east-1", Renewing(), connections=1)
        calls = [asyncio.create_task(client.call("t", b"{}", 0.2), name="call") for _ in range(2)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        forever.set()
        await client.close()
    assert [outcome.code for outcome in outcomes if isinstance(outcome, QueueCallError)] == ["Timeout", "Timeout"]


@pytest.mark.parametrize("error", [RuntimeError("credentials still expired"), OSError("no route")])
async def test_credentials_that_cannot_be_had_are_our_own_error(error: Exception) -> None:
    """A provider may raise anything, once: the call fails, the daemon does not."""

    class Broken:
        async def get_frozen_credentials(self) -> Frozen:
            raise error

    client = JsonClient("http://127.0.0.1:9", "us-east-1", Broken(), connections=1)
    with pytest.raises(QueueCallError) as caught:
        await client.call("t", b"{}", 5)
    await client.close()
    assert not caught.value.is_permanent


@pytest.mark.parametrize("body", ['{"message": "größer"}'.encode("latin-1"), b"[" * 100_000])
async def test_an_error_nobody_can_read_is_its_status(stage: Stage, body: bytes) -> None:
    """Bodies that are not UTF-8, or nested beyond measure."""
    stage.service.script = [lambda _: web.Response(status=500, body=body)]
    with pytest.raises(QueueCallError) as caught:
        await stage.client.call("t", b"{}", 5)
    assert caught.value.code == "Http500"
