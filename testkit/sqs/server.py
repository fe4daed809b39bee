"""The server as a whole: opens the port, serves until it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from testkit.sqs import limits
from testkit.sqs.account import Account
from testkit.sqs.audit_log import AuditLog
from testkit.sqs.protocol import Connection
from testkit.sqs.service import LabClock, Service
from testkit.sqs.signature import SignatureChecker
from testkit.sqs.store import DecisionLog


class ServerOptions(msgspec.Struct, frozen=True):
    """How a server is set up."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free one."""
    access_key: str = "local"
    secret_key: str = "local"
    region: str = "us-east-1"
    in_flight_limit: int = limits.MAX_IN_FLIGHT
    keeps_history: bool = False
    """Remember every receive and delete until somebody asks."""


@asynccontextmanager
async def serve(options: ServerOptions, *, journal: DecisionLog | None = None) -> AsyncIterator[str]:
    """Serve in the running event loop while the block runs; it is given the endpoint's URL."""
    loop = asyncio.get_running_loop()
    connections: set[Connection] = set()
    # The port is known once the socket is bound, and the account needs it for the URLs of its queues.
    services: list[Service] = []
    server = await loop.create_server(
        lambda: Connection(services[0], connections), options.host, options.port, start_serving=False
    )
    host, port = server.sockets[0].getsockname()[:2]
    endpoint_url = f"http://{host}:{port}"
    audit_log = AuditLog(is_attentive=options.keeps_history)
    if options.keeps_history:
        journal = audit_log.deleted
    account = Account(endpoint_url, region=options.region, in_flight_limit=options.in_flight_limit, journal=journal)
    checker = SignatureChecker(options.access_key, options.secret_key)
    services.append(Service(account, checker, LabClock(), audit_log))
    try:
        await server.start_serving()
        yield endpoint_url
    finally:
        server.close()
        for connection in list(connections):
            connection.close()
        await server.wait_closed()
