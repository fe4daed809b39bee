"""A TLS proxy in front of a server without TLS; a CA of the test issues its certificate for `localhost`."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trustme


@asynccontextmanager
async def tls_proxy(authority: trustme.CA, host: str, port: int) -> AsyncIterator[int]:
    """The port of a proxy whose clients use TLS from the first byte."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection(host, port)
        except OSError:
            writer.close()
            return
        try:
            async with asyncio.TaskGroup() as copies:
                copies.create_task(_copy(reader, inner_writer), name="to the server")
                copies.create_task(_copy(inner_reader, writer), name="to the client")
        except* OSError:
            pass  # one side has disconnected
        finally:
            inner_writer.close()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def ca_file_of(authority: trustme.CA, folder: Path) -> Path:
    """The CA file, as for SUBSCRIBER_DATABASE_CA_FILE."""
    path = folder / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()
