"""LocalStack without containers: the emulator of several AWS services, as a child process.

It has a virtual environment of its own (`.lab/localstack`), because it pins another botocore.
"""

from __future__ import annotations

import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from testkit.process import ProcessError, child_process, free_port

PYTHON = Path(__file__).resolve().parents[2] / ".lab" / "localstack" / "bin" / "python"

_START_SECONDS = 90.0
_SETTINGS = {
    "SKIP_SSL_CERT_DOWNLOAD": "1",
    "DNS_ADDRESS": "0",  # no DNS server of its own
    "DISABLE_EVENTS": "1",  # no reports about its use
    "SERVICES": "s3,sqs,sns,events,cloudwatch,logs,iam,secretsmanager",
}


class LocalStack(msgspec.Struct, frozen=True):
    """A running LocalStack."""

    endpoint_url: str
    pid: int
    """The process id of its guard (`testkit/process.py`)."""


@contextmanager
def localstack_server() -> Iterator[LocalStack]:
    """A LocalStack that runs while the block runs; it takes some seconds to start.

    Raises:
        ProcessError: its environment is missing, or it does not start; with the end of its log.
    """
    if not PYTHON.exists():
        raise ProcessError("LocalStack is not installed in .lab/localstack: `make test` installs it.")
    port = free_port()
    endpoint_url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="localstack-") as directory:
        environment = {**_SETTINGS, "GATEWAY_LISTEN": f"127.0.0.1:{port}", "TMPDIR": directory, "HOME": directory}
        command = [str(PYTHON), "-m", "localstack.runtime.main"]
        with child_process(
            "LocalStack",
            command,
            environment=environment,
            directory=Path(directory),
            is_third_party=True,
            grace_seconds=0.5,  # its state is not kept
        ) as child:
            child.wait_until(lambda: _is_healthy(endpoint_url) or None, _START_SECONDS)
            yield LocalStack(endpoint_url, child.pid)


def _is_healthy(endpoint_url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint_url}/_localstack/health", timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
