"""Assembles the emulator, opens its port and serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from testkit.signature import SignatureChecker
from testkit.sqs import limits
from testkit.sqs.account import Account
from testkit.sqs.audit_log import AuditLog
from testkit.sqs.protocol import Connection
from testkit.sqs.service import MonotonicClock, Service
from testkit.sqs.signature import QUEUE_SERVICE
from testkit.sqs.store import DeletionListener


class ServerOptions(msgspec.Struct, frozen=True):
    """The options of a server."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free one."""
    access_key: str = "local"
    secret_key: str = "local"
    region: str = "us-east-1"
    in_flight_limit: int = limits.MAX_IN_FLIGHT
    keeps_audit_log: bool = False
    """Record every receive and delete until TakeAuditLog is called."""


@asynccontextmanager
async def serve(options: ServerOptions, *, on_delete: DeletionListener | None = None) -> AsyncIterator[str]:
    """Serve in the running event loop while the block runs; yields the endpoint's URL."""
    loop = asyncio.get_running_loop()
    connections: set[Connection] = set()
    # The account needs the port for the URLs of its queues, and the port is known once the socket is bound.
    services: list[Service] = []
    server = await loop.create_server(
        lambda: Connection(services[0], connections), options.host, options.port, start_serving=False
    )
    host, port = server.sockets[0].getsockname()[:2]
    endpoint_url = f"http://{host}:{port}"
    audit_log = AuditLog(is_enabled=options.keeps_audit_log)
    if options.keeps_audit_log:
        on_delete = audit_log.deleted
    account = Account(endpoint_url, region=options.region, in_flight_limit=options.in_flight_limit, on_delete=on_delete)
    checker = SignatureChecker(QUEUE_SERVICE, options.access_key, options.secret_key)
    services.append(Service(account, checker, MonotonicClock(), audit_log))
    try:
        await server.start_serving()
        yield endpoint_url
    finally:
        server.close()
        for connection in list(connections):
            connection.close()
        await server.wait_closed()
