"""The JSON client: credentials, errors, and correction of the clock."""

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
    """Credentials as botocore returns them."""

    access_key: str
    secret_key: str
    token: str | None


def elasticmq(message: str) -> Answer:
    """An error as ElasticMQ writes it."""
    return lambda _: web.json_response({"__type": "Sender", "Message": message}, status=400)


class Renewing:
    """Credentials that change on every access."""

    def __init__(self) -> None:
        self.accesses = 0

    async def get_frozen_credentials(self) -> Frozen:
        """The next credentials."""
        self.accesses += 1
        return Frozen(f"key-{self.accesses}", "secret", f"token-{self.accesses}")


class Service:
    """A server that answers from a script and records the requests."""

    def __init__(self) -> None:
        self.script: list[Answer] = []
        self.requests: list[dict[str, str]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The next answer of the script; the last one repeats."""
        self.requests.append({name.lower(): value for name, value in request.headers.items()})
        await request.read()
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return answer(request)


class Setup(NamedTuple):
    """A service and its client."""

    service: Service
    client: JsonClient


@pytest.fixture
async def running() -> AsyncIterator[Setup]:
    """A running service and an open client."""
    service = Service()
    app = web.Application()
    app.router.add_post("/", service.handle)
    async with TestServer(app) as server:
        client = JsonClient(str(server.make_url("/")), "us-east-1", Renewing(), connections=2)
        yield Setup(service, client)
        await client.close()


def fine(_: web.Request) -> web.Response:
    """An empty success."""
    return web.Response(body=b"{}")


def fault(
    status: int, kind: str, query_code: str = "", date: datetime | None = None, retry_after: str | None = None
) -> Answer:
    """An error response in AWS's format."""
    headers = {"x-amzn-query-error": f"{query_code};Sender"} if query_code else {}
    if retry_after is not None:
        headers["X-Amz-Retry-After"] = retry_after
    if date is not None:
        headers["Date"] = format_datetime(date, usegmt=True)
    return lambda _: web.json_response({"__type": kind, "message": "because"}, status=status, headers=headers)


async def test_the_headers_of_a_call(running: Setup) -> None:
    """Few headers, since each costs CPU on both sides."""
    running.service.script = [fine]
    assert await running.client.call("AmazonSQS.ReceiveMessage", b"{}", 5) == b"{}"
    (request,) = running.service.requests
    assert set(request) == {
        "host",
        "authorization",
        "content-type",
        "content-length",
        "x-amz-date",
        "x-amz-target",
        "x-amz-security-token",
    }


async def test_renewed_credentials_are_used(running: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a second the source is called again; its new credentials sign, with the session token."""
    monkeypatch.setattr(json_client, "CREDENTIALS_SECONDS", 0.0)
    running.service.script = [fine]
    for _ in range(2):
        await running.client.call("t", b"{}", 5)
    assert [request["x-amz-security-token"] for request in running.service.requests] == ["token-1", "token-2"]
    assert [request["authorization"].split("=")[1].split("/")[0] for request in running.service.requests] == [
        "key-1",
        "key-2",
    ]


async def test_credentials_are_cached_for_a_second(running: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for every call; but at once if the clock was set back."""
    monkeypatch.setattr(json_client, "CREDENTIALS_SECONDS", 3600.0)
    running.service.script = [fine]
    for _ in range(3):
        await running.client.call("t", b"{}", 5)
    monkeypatch.setattr(json_client, "time", SimpleNamespace(time=lambda: 1_000_000_000.0))
    await running.client.call("t", b"{}", 5)
    tokens = [request["x-amz-security-token"] for request in running.service.requests]
    assert tokens == ["token-1", "token-1", "token-1", "token-2"]


async def test_fetching_credentials_times_out(running: Setup) -> None:
    """A container's metadata service may not answer."""

    class Hanging:
        async def get_frozen_credentials(self) -> Frozen:
            await asyncio.Event().wait()
            raise AssertionError

    client = JsonClient("http://127.0.0.1:9", "us-east-1", Hanging(), connections=1)
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
        (elasticmq("AWS.SimpleQueueService.NonExistentQueue; see the SQS docs."), "QueueDoesNotExist", True),
        (elasticmq("ReceiptHandleIsInvalid; see the SQS docs."), "ReceiptHandleIsInvalid", False),
        (elasticmq("no code in here"), "Sender", False),
        (fault(403, "com.amazon.coral.service#AccessDeniedException"), "AccessDeniedException", True),
        (fault(400, "RequestThrottled", "RequestThrottled"), "RequestThrottled", False),
        (fault(403, "OverLimit", "OverLimit"), "OverLimit", False),
        (lambda _: web.Response(status=503, text="<html>busy</html>"), "Http503", False),
        (lambda _: web.Response(status=429), "Throttled", False),
    ],
)
async def test_errors_are_typed(running: Setup, answer: Answer, code: str, *, is_permanent: bool) -> None:
    """The code of the query protocol has priority; without a code the HTTP status is used."""
    running.service.script = [answer]
    with pytest.raises(QueueCallError) as caught:
        await running.client.call("t", b"{}", 5)
    assert (caught.value.code, caught.value.is_permanent) == (code, is_permanent)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, 0.0), ("1500", 1.5), ("0", 0.0), ("soon", 0.0), ("-5", 0.0), ("1" * 4000, 0.0), ("", 0.0)],
)
async def test_a_throttled_answer_says_when_to_try_again(running: Setup, header: str | None, seconds: float) -> None:
    """In milliseconds; what is no number of them is ignored."""
    running.service.script = [fault(400, "RequestThrottled", retry_after=header)]
    with pytest.raises(QueueCallError) as caught:
        await running.client.call("t", b"{}", 5)
    assert (caught.value.code, caught.value.retry_after_seconds) == ("RequestThrottled", seconds)


async def test_clock_skew_is_corrected(running: Setup) -> None:
    """After one rejected call the next is signed with the server's time."""
    ahead = datetime.now(UTC) + timedelta(hours=3)
    running.service.script = [fault(403, "InvalidSignatureException", date=ahead), fine]
    with pytest.raises(QueueCallError):
        await running.client.call("t", b"{}", 5)
    await running.client.call("t", b"{}", 5)
    signed = datetime.strptime(running.service.requests[1]["x-amz-date"], "%Y%m%dT%H%M%S%z")
    assert abs(signed - ahead) < timedelta(minutes=1)


async def test_small_clock_skew_is_not_corrected(running: Setup) -> None:
    """A wrong secret key gives the same code, and must not change the clock."""
    near = datetime.now(UTC) + timedelta(seconds=100)
    running.service.script = [fault(403, "SignatureDoesNotMatch", date=near), fine]
    with pytest.raises(QueueCallError):
        await running.client.call("t", b"{}", 5)
    await running.client.call("t", b"{}", 5)
    signed = datetime.strptime(running.service.requests[1]["x-amz-date"], "%Y%m%dT%H%M%S%z")
    assert abs(signed - datetime.now(UTC)) < timedelta(seconds=50)


@pytest.mark.parametrize(("ahead_seconds", "expected"), [(-300, -300), (7200, 7200), (3, 0)])
async def test_successful_answers_tell_how_far_the_clocks_differ(
    running: Setup, monkeypatch: pytest.MonkeyPatch, ahead_seconds: int, expected: int
) -> None:
    """By their Date; a few seconds are none, an unreadable date is none, and the newest that is compared counts."""

    def dated(text: str) -> Answer:
        return lambda _: web.Response(body=b"{}", headers={"Date": text})

    monkeypatch.setattr(json_client, "CLOCK_COMPARISON_SECONDS", 0.0)
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead_seconds), usegmt=True)
    running.service.script = [dated(date), dated("yesterday")]
    await running.client.call("t", b"{}", 5)
    assert running.client.server_ahead_seconds == pytest.approx(expected, abs=2)
    await running.client.call("t", b"{}", 5)
    assert running.client.server_ahead_seconds == 0


async def test_a_call_times_out() -> None:
    """The timeout of a call includes the wait for a connection."""
    forever = asyncio.Event()

    async def hanging(request: web.Request) -> web.StreamResponse:
        await forever.wait()
        return web.Response()

    app = web.Application()
    app.router.add_post("/", hanging)
    async with TestServer(app) as server:
        client = JsonClient(str(server.make_url("/")), "us-east-1", Renewing(), connections=1)
        calls = [asyncio.create_task(client.call("t", b"{}", 0.2), name="call") for _ in range(2)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        forever.set()
        await client.close()
    assert [outcome.code for outcome in outcomes if isinstance(outcome, QueueCallError)] == ["Timeout", "Timeout"]


@pytest.mark.parametrize("error", [RuntimeError("credentials still expired"), OSError("no route")])
async def test_a_failed_credential_source_fails_the_call(error: Exception) -> None:
    """Whatever a provider raises, the call fails and the daemon goes on."""

    class Broken:
        async def get_frozen_credentials(self) -> Frozen:
            raise error

    client = JsonClient("http://127.0.0.1:9", "us-east-1", Broken(), connections=1)
    with pytest.raises(QueueCallError) as caught:
        await client.call("t", b"{}", 5)
    await client.close()
    assert not caught.value.is_permanent


@pytest.mark.parametrize("body", ['{"message": "größer"}'.encode("latin-1"), b"[" * 100_000])
async def test_an_unreadable_error_becomes_its_status(running: Setup, body: bytes) -> None:
    """A body that is not UTF-8, or nested too deeply."""
    running.service.script = [lambda _: web.Response(status=500, body=body)]
    with pytest.raises(QueueCallError) as caught:
        await running.client.call("t", b"{}", 5)
    assert caught.value.code == "Http500"
