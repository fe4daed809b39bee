"""The HTTP server of the daemon: liveness, readiness, metrics, and the routes of other modules.

Liveness only shows that the event loop answers: if it depended on the database, one failover would restart the whole
fleet. Readiness is the pipeline's own state, condition by condition.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterable, Mapping

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from subscriber.admin.connections import IDLE_SECONDS, Connections
from subscriber.admin.front_page import FrontPage
from subscriber.errors import ConfigurationError

_GRACE_SECONDS = 1.0
"""How long a stop waits for a response that is being sent: only a slow reader needs that time."""

_BODY_BYTES_AT_MOST = 4096
"""No request body is longer than a line."""

_UNREAD_BODY_SECONDS = 1.0
"""How long the rest of a body is read that no handler has asked for."""

_EVERY_ADDRESS = "::"
"""One socket listens on it for IPv6 and IPv4."""


class AdminServer:
    """An HTTP server for `/`, `/livez`, `/readyz` and `/metrics`, and for added routes; it logs no request.

    Args:
        host: address or name to listen on.
        port: TCP port; 0 takes a free one.
        registry: the metrics of `/metrics`.
        readiness: called for each `/readyz`: the conditions of being ready, by name. It must not block.
        more: routes of other modules, such as `ControlPage.routes`.
        connections: the bounds on the connections, if not the usual ones.
    """

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        readiness: Callable[[], Mapping[str, bool]],
        more: Iterable[web.RouteDef] = (),
        *,
        connections: Connections | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._registry = registry
        self._readiness = readiness
        self._more = tuple(more)
        self._connections = connections or Connections()
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port to listen on; after `start` the real one, where it was 0."""
        return self._port

    async def start(self) -> None:
        """Listen on the address. Cancelled, it leaves nothing open.

        Raises:
            ConfigurationError: the address is not available.
        """
        runner = self._runner = self._new_runner()
        try:
            await runner.setup()
            listener = self._listener = await self._bind(runner)
            self._port = listener.sockets[0].getsockname()[1]
            await listener.start_serving()
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that DNS cannot have
            await self.stop()
            raise ConfigurationError(self._bind_failure(error)) from error
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop listening and close all connections; no effect before `start` or the second time."""
        runner, self._runner = self._runner, None
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        if runner is not None:
            await runner.cleanup()

    def _new_runner(self) -> web.AppRunner:
        application = web.Application(client_max_size=_BODY_BYTES_AT_MOST, middlewares=[self._connections.serve])
        application.router.add_get("/", FrontPage().get)
        application.router.add_get("/livez", self._livez)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_routes(self._more)
        return web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=_GRACE_SECONDS,
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=_UNREAD_BODY_SECONDS,
        )

    async def _bind(self, runner: web.AppRunner) -> asyncio.Server:
        """A server that does not serve yet, so that a cancellation in here leaves no socket."""
        handlers = runner.server
        assert handlers is not None  # after setup

        def protocol() -> asyncio.Protocol:
            return self._connections.protocol(handlers())

        loop = asyncio.get_running_loop()
        if self._host != _EVERY_ADDRESS or not socket.has_dualstack_ipv6():
            return await loop.create_server(protocol, self._host, self._port, start_serving=False)
        both = socket.create_server(("", self._port), family=socket.AF_INET6, dualstack_ipv6=True)
        try:
            return await loop.create_server(protocol, sock=both, start_serving=False)
        except BaseException:
            both.close()
            raise

    def _bind_failure(self, error: OSError | UnicodeError) -> str:
        return (
            f"cannot listen on SUBSCRIBER_HTTP_HOST {self._host}, SUBSCRIBER_HTTP_PORT {self._port}: "
            f"{getattr(error, 'strerror', None) or error}"
        )

    async def _livez(self, _request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        conditions = dict(self._readiness())
        ready = all(conditions.values())
        text = json.dumps({"ready": ready, "conditions": conditions}) + "\n"
        return web.Response(text=text, status=200 if ready else 503, content_type="application/json")

    async def _metrics(self, _request: web.Request) -> web.Response:
        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})
