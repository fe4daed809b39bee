"""Emulators of S3 by others, moto and ministack, as child processes: the listing contracts compare them with ours.

They share a virtual environment of their own (`.lab/s3-servers`), because they pin another botocore.
"""

from __future__ import annotations

import http.client
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from testkit.process import ProcessError, child_process, free_port

PROGRAMS: Final = Path(__file__).resolve().parents[2] / ".lab" / "s3-servers" / "bin"

_START_SECONDS: Final = 60.0


@contextmanager
def moto_server() -> Iterator[str]:
    """A moto that runs while the block runs; yields the URL of its endpoint.

    Raises:
        ProcessError: its environment is missing, or it does not start; with the end of its log.
    """
    port = free_port()
    with _server("moto", ["moto_server", "-H", "127.0.0.1", "-p", str(port)], port, {}) as endpoint_url:
        yield endpoint_url


@contextmanager
def ministack_server() -> Iterator[str]:
    """A ministack that runs while the block runs; yields the URL of its endpoint.

    Raises:
        ProcessError: its environment is missing, or it does not start; with the end of its log.
    """
    port = free_port()
    environment = {"GATEWAY_PORT": str(port), "HOST": "127.0.0.1", "PERSIST_STATE": "0"}
    with _server("ministack", ["ministack"], port, environment) as endpoint_url:
        yield endpoint_url


@contextmanager
def _server(name: str, command: Sequence[str], port: int, environment: Mapping[str, str]) -> Iterator[str]:
    program = PROGRAMS / command[0]
    if not program.exists():
        raise ProcessError(f"{name} is not installed in .lab/s3-servers: `make test` installs it.")
    with (
        tempfile.TemporaryDirectory(prefix=f"{name}-") as directory,
        child_process(
            name,
            [str(program), *command[1:]],
            environment={**environment, "TMPDIR": directory, "HOME": directory},
            directory=Path(directory),
            is_third_party=True,
            grace_seconds=0.5,  # its state is not kept
        ) as child,
    ):
        child.wait_until(lambda: _answers(port) or None, _START_SECONDS)
        yield f"http://127.0.0.1:{port}"


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
