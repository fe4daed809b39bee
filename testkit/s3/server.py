"""Opens the port, and brings bytes to the service and its answers back, with the faults that a test asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Final

import msgspec
from aiohttp import web

from testkit.s3 import errors
from testkit.s3.buckets import Bucket, Buckets, BucketSpec
from testkit.s3.faults import Counts, Fault
from testkit.s3.live import MAX_OBJECT_BYTES
from testkit.s3.operations import Answer
from testkit.s3.service import Service
from testkit.signature import SignatureChecker, SignedRequest
from testkit.workload.bucket import SimulatedBucket

_SLOW_PARTS: Final = 10
_STOP_SECONDS: Final = 1.0


class ServerOptions(msgspec.Struct, frozen=True):
    """The options of a server."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free one."""
    access_key: str = "local"
    secret_key: str = "local"
    region: str = "us-east-1"


class ServedS3:
    """A listing server in this event loop, made by `serve`."""

    def __init__(self, service: Service) -> None:
        self.endpoint_url = ""
        self._service = service

    def add_bucket(self, spec: BucketSpec, simulated: SimulatedBucket | None = None) -> Bucket:
        """Serve a bucket; with `simulated` it shows that bucket, which may change between any two requests."""
        return self._service.buckets.add(spec, simulated)

    def add_faults(self, *faults: Fault) -> None:
        """Let the next requests go wrong."""
        self._service.faults.add(list(faults))

    def clear_faults(self) -> None:
        """Let all requests succeed again."""
        self._service.faults.clear()

    def counts(self) -> Counts:
        """Requests by operation, bytes and CPU seconds (of this whole process) since the start."""
        return self._service.counts()


@asynccontextmanager
async def serve(
    options: ServerOptions | None = None, clock: Callable[[], float] = time.time
) -> AsyncIterator[ServedS3]:
    """Serve in the running event loop while the block runs.

    Args:
        options: address, credentials and region.
        clock: Unix seconds for the header Date and for objects that are put, not for signatures.
    """
    given = options or ServerOptions()
    checker = SignatureChecker(errors.STORAGE_SERVICE, given.access_key, given.secret_key)
    service = Service(Buckets(given.region, clock), checker, clock)
    runner = web.ServerRunner(web.Server(_Exchange(service), access_log=None), shutdown_timeout=_STOP_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, given.host, given.port)
        await site.start()
        served = ServedS3(service)
        host, port = runner.addresses[0][:2]
        served.endpoint_url = f"http://{host}:{port}"
        yield served
    finally:
        await runner.cleanup()


class _Exchange:
    """One request and its answer."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # the header of the answer itself has not been sent
        headers = {name.lower(): value for name, value in request.raw_headers}
        body = await _body(request)
        signed = SignedRequest(request.method.encode(), request.raw_path.encode("latin-1"), headers, body)
        answer, fault = self._service.answer(signed)
        if fault:
            answer = await self._spoiled(answer, fault)
        self._service.tally.body_bytes += len(answer.body)
        return await self._send(request, answer, fault)

    async def _spoiled(self, answer: Answer, fault: Fault) -> Answer:
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        elif fault.kind == "error_in_200":
            answer.body = errors.internal_error().body("0")
        elif fault.kind == "cut_xml":
            answer.body = answer.body[: len(answer.body) // 2]
        return answer

    async def _send(self, request: web.BaseRequest, answer: Answer, fault: Fault | None) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=self._headers(answer))
        if answer.is_chunked:
            response.enable_chunked_encoding()
        else:
            response.content_length = len(answer.body) if answer.length is None else answer.length
        if fault and fault.kind == "lost":
            _abort(request)
            return response
        await response.prepare(request)
        if fault and fault.kind == "truncated":
            await response.write(answer.body[: len(answer.body) // 2])
            _abort(request)
        elif fault and fault.kind == "slow_body":
            await _write_slowly(response, answer.body, fault.seconds)
        elif answer.body:
            await response.write(answer.body)
        return response

    def _headers(self, answer: Answer) -> dict[str, str]:
        return {
            "x-amz-id-2": "host",
            "x-amz-request-id": f"{sum(self._service.tally.requests.values()):016X}",
            "Date": formatdate(self._service.clock(), usegmt=True),
            "Server": "AmazonS3",
            **answer.headers,
        }


async def _body(request: web.BaseRequest) -> bytes:
    """The body, or as much of it as shows that it is longer than an object may be: the service refuses that."""
    parts = bytearray()
    async for part in request.content.iter_any():
        parts += part
        if len(parts) > MAX_OBJECT_BYTES:
            break
    return bytes(parts)


async def _write_slowly(response: web.StreamResponse, body: bytes, seconds: float) -> None:
    size = max(-(-len(body) // _SLOW_PARTS), 1)
    for start in range(0, len(body), size):
        await asyncio.sleep(seconds / _SLOW_PARTS)
        await response.write(body[start : start + size])


def _abort(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.close()  # what was written before still arrives
