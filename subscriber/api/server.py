"""The application and its process: built by Litestar, served by uvicorn, ended by SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec
import uvicorn
from litestar import Litestar, Router
from litestar.config.compression import CompressionConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from subscriber import __version__
from subscriber.api.access import guard_of
from subscriber.api.parameters import Conditions
from subscriber.api.problems import problem_of
from subscriber.api.routes import count, exists, livez, objects, one_object, readyz, usage
from subscriber.api.searches import Searches
from subscriber.errors import ConfigurationError

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
"""A thousand keys of 1,024 bytes, and as much again for escapes in JSON."""
MAX_REQUESTS: Final = 200
"""At once, with idle connections; more get 503 from uvicorn."""
STOP_SECONDS: Final = 10
"""For requests that run when the process is asked to stop."""


class Address(msgspec.Struct, frozen=True):
    """Where to listen; port 0 takes a free one."""

    host: str
    port: int


def application(searches: Searches, tokens: Sequence[str]) -> Litestar:
    """The routes, with their description at /schema/openapi.json, which needs no token."""
    guarded = Router(
        "/",
        route_handlers=[objects, one_object, exists, count, usage],
        dependencies={"conditions": Provide(Conditions, sync_to_thread=False)},
        guards=[guard_of(tokens)],
        security=[{"bearer": []}] if tokens else [],
    )
    schemes = Components(security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer")})
    return Litestar(
        [guarded, livez, readyz],
        state=State({"searches": searches}),
        exception_handlers={Exception: problem_of},
        request_max_body_size=MAX_BODY_BYTES,
        compression_config=CompressionConfig(backend="gzip", exclude=["/livez", "/readyz"]),
        openapi_config=OpenAPIConfig(
            title="subscriber",
            version=__version__,
            path="/schema",
            render_plugins=[JsonRenderPlugin()],  # pages of the framework load scripts from elsewhere
            components=schemes,
        ),
        logging_config=None,
    )


def listening(address: Address) -> socket.socket:
    """A socket that accepts connections.

    Raises:
        ConfigurationError: the address is taken or none of this machine.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family, backlog=128)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {address.host} port {address.port}: {error.strerror}") from error


async def serve(app: Litestar, sock: socket.socket) -> None:
    """Answer requests until SIGTERM or SIGINT; those that run get ten seconds to end."""
    config = uvicorn.Config(
        app,
        access_log=False,  # paths name objects, and a query string may hold a token of a page
        log_config=None,
        server_header=False,
        limit_concurrency=MAX_REQUESTS,
        timeout_graceful_shutdown=STOP_SECONDS,
        lifespan="on",
    )
    await _Server(config).serve(sockets=[sock])


class _Server(uvicorn.Server):
    """Ends as asked: uvicorn's own handlers raise the signal again at the end, so that no exit code would be 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop gracefully on either signal."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT)
        for each in signals:
            loop.add_signal_handler(each, self._stop)
        try:
            yield
        finally:
            for each in signals:
                loop.remove_signal_handler(each)

    def _stop(self) -> None:
        self.should_exit = True
