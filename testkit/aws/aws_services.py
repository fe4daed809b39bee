"""A fake of AWS services for botocore clients, with responses that the test scripts.

    async with AwsServices.running() as services:
        services.answer("pi", "GetResourceMetrics", lambda parameters: {"MetricList": []})
        os.environ["AWS_ENDPOINT_URL"] = services.endpoint_url

Requests and responses are validated against the services' models, see `aws_shapes`. An operation without a scripted
response is denied, as AWS denies everything to a role without a policy. S3, which uses another protocol, is always
denied.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from testkit.aws.aws_shapes import Parameters, answer_body, fault_body, parameters_in, service_model

_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/(?P<service>[^/]+)/aws4_request")
_CLIENTS = {"monitoring": "cloudwatch"}
"""Signing name to botocore's client name, where they differ."""
_REQUEST_ID = "00000000-0000-4000-8000-000000000000"


class Fault(msgspec.Struct, frozen=True):
    """An error response of the service."""

    code: str
    status: int = 400
    message: str = "scripted failure"

    @classmethod
    def denied(cls, action: str) -> Fault:
        """The response to a role without the permission."""
        return cls("AccessDenied", 403, f"User: arn:aws:sts::123456789012:role is not authorized to perform: {action}")


class NoAnswer(msgspec.Struct, frozen=True):
    """No response: the connection stays open until the server ends."""


class RawBody(msgspec.Struct, frozen=True):
    """A response body that is sent unchanged, with status 200."""

    body: bytes


Answer: TypeAlias = dict[str, Any] | Fault | NoAnswer | RawBody
Answering: TypeAlias = Callable[[Parameters], Answer]


class Request(msgspec.Struct, frozen=True):
    """A request that the server received."""

    service: str
    operation: str
    parameters: Parameters


class AwsServices:
    """The server, made by `running`."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str], Answering] = {}
        self._ended = asyncio.Event()
        self.requests: list[Request] = []
        self.mistakes: list[str] = []
        """Validation errors of requests and responses, for the test to check: the client received a 500."""
        self.endpoint_url = ""

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[AwsServices]:
        """A server on a free port of the loopback address, while the block runs."""
        services = cls()
        application = web.Application()
        application.router.add_post("/", services._handle)
        application.router.add_get("/{bucket}", _deny_bucket)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            services.endpoint_url = f"http://{host}:{port}"
            yield services
        finally:
            services._ended.set()
            await runner.cleanup()

    def answer(self, service: str, operation: str, answering: Answering | Answer) -> None:
        """Script the response to an operation from now on: a constant, or a function of the parameters."""
        self._answers[service, operation] = answering if callable(answering) else lambda _: answering

    def asked(self, service: str, operation: str) -> list[Parameters]:
        """The parameters of all requests for an operation, in order."""
        return [each.parameters for each in self.requests if (each.service, each.operation) == (service, operation)]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        try:
            return await self._answered(request, body)
        except Exception as error:  # noqa: BLE001 - the client receives a 500, the test the reason
            self.mistakes.append(f"{type(error).__name__}: {error}")
            return web.Response(status=500, text=str(error))

    async def _answered(self, request: web.Request, body: bytes) -> web.StreamResponse:
        signed = _SCOPE.search(request.headers.get("Authorization", ""))
        if signed is None:
            return web.Response(status=403, text="not signed")
        service = _CLIENTS.get(signed["service"], signed["service"])
        name = request.headers.get("X-Amz-Target", "").rpartition(".")[2] or parse_qs(body.decode())["Action"][0]
        operation = service_model(service).operation_model(name)
        parameters = parameters_in(operation, body)
        self.requests.append(Request(service, name, parameters))
        answering = self._answers.get((service, name))
        answer = answering(parameters) if answering else Fault.denied(f"{service}:{name}")
        headers = {"x-amzn-RequestId": _REQUEST_ID}
        match answer:
            case Fault(code, status, message):
                text = fault_body(operation, code, message, _REQUEST_ID)
                return web.Response(status=status, body=text, headers=headers)
            case NoAnswer():
                await self._ended.wait()
                return web.Response(status=503)
            case RawBody(raw):
                return web.Response(body=raw, headers=headers)
        return web.Response(body=answer_body(operation, answer, _REQUEST_ID), headers=headers)


async def _deny_bucket(_request: web.Request) -> web.Response:
    """S3's response where no policy allows reading the bucket."""
    text = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    return web.Response(status=403, text=text, content_type="application/xml")
