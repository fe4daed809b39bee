"""A TLS proxy in front of the test PostgreSQL, which is built without TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import trustme

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
"""PostgreSQL, "Message Formats": length 8 and the code 80877103."""


class TlsProxy:
    """Terminates TLS and forwards to a server without TLS."""

    def __init__(self, host: str, port: int, authority: trustme.CA) -> None:
        self._upstream = (host, port)
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(self._context)
        self.encrypted = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until either side closes."""
        try:
            assert await reader.readexactly(8) == SSL_REQUEST
            writer.write(b"S")
            await writer.start_tls(self._context)
            self.encrypted += 1
            inner_reader, inner_writer = await asyncio.open_connection(*self._upstream)
            await asyncio.wait(
                [
                    asyncio.create_task(_copy(reader, inner_writer), name="to the server"),
                    asyncio.create_task(_copy(inner_reader, writer), name="to the client"),
                ]
            )
        except OSError:
            pass  # the client rejected the certificate
        finally:
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def tls_proxy(server_url: str, authority: trustme.CA) -> AsyncIterator[tuple[int, TlsProxy]]:
    """A proxy on a free port with a certificate for `localhost`, in front of the server at `server_url`."""
    upstream = urlsplit(server_url)
    proxy = TlsProxy(upstream.hostname or "", upstream.port or 0, authority)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], proxy
    finally:
        server.close()
        await server.wait_closed()
