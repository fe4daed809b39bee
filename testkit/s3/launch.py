"""Starts the listing server as a child process, for tests, the demo and benchmarks."""

from __future__ import annotations

import http.client
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from testkit.process import Child, ProcessError, child_process
from testkit.s3.buckets import BucketSpec
from testkit.s3.changing import ObjectChange, ObjectChanged, ObjectChanges
from testkit.s3.errors import STORAGE_SERVICE
from testkit.s3.faults import Counts, Fault
from testkit.signature import SignedRequest, amz_date, sign

_START_SECONDS: Final = 20.0
_CALL_SECONDS: Final = 30.0
_KEEP_MEMORY: Final = {"MALLOC_TRIM_THRESHOLD_": str(64 * 2**20), "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20)}
"""Let glibc keep the memory of pages for the next ones (its manual, "Malloc Tunable Parameters"): half a megabyte from
the kernel for each page is a third of the server's CPU time. Other libraries ignore it."""


class ListingServer:
    """A running listing server."""

    def __init__(self, child: Child, endpoint_url: str, credentials: tuple[str, str, str]) -> None:
        self._child = child
        self._credentials = credentials
        self.endpoint_url = endpoint_url

    @property
    def pid(self) -> int:
        """The server's process id, for measuring its CPU time."""
        return self._child.pid

    def add_bucket(self, spec: BucketSpec) -> None:
        """Serve one more bucket; one of the same name is replaced."""
        self._counts("AddBucket", spec)

    def add_faults(self, *faults: Fault) -> None:
        """Let the next requests go wrong."""
        self._counts("AddFaults", faults)

    def clear_faults(self) -> None:
        """Let all requests succeed again."""
        self._counts("ClearFaults", {})

    def counts(self) -> Counts:
        """Requests by operation, bytes and CPU seconds since the start."""
        return self._counts("Counts", {})

    def change_objects(self, bucket: str, changes: Sequence[ObjectChange]) -> list[ObjectChanged]:
        """Change objects of a changing bucket, all at once."""
        answer = self._call("ChangeObjects", ObjectChanges(bucket, list(changes)))
        return msgspec.json.decode(answer, type=list[ObjectChanged])

    def _counts(self, operation: str, argument: Any) -> Counts:
        return msgspec.json.decode(self._call(operation, argument), type=Counts)

    def _call(self, operation: str, argument: Any) -> bytes:
        address = urlsplit(self.endpoint_url)
        headers = {
            b"host": address.netloc.encode(),
            b"x-amz-date": amz_date(time.time()).encode(),
            b"x-amz-target": operation.encode(),
        }
        body = msgspec.json.encode(argument)
        signed = SignedRequest(b"POST", b"/", headers, body)
        # Without x-amz-content-sha256 the signature covers the hash of the body itself.
        authorization = sign(STORAGE_SERVICE, signed, *self._credentials)
        connection = http.client.HTTPConnection(address.netloc, timeout=_CALL_SECONDS)
        try:
            sent = {name.decode(): value.decode() for name, value in headers.items()}
            connection.request("POST", "/", body, {**sent, "Authorization": authorization})
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise ProcessError(f"{operation}: {answer.decode(errors='replace')}")
        return answer


@contextmanager
def local_listing_server(
    buckets: Sequence[BucketSpec] = (),
    *,
    port: int = 0,
    access_key: str = "local",
    secret_key: str = "local",
    region: str = "us-east-1",
) -> Iterator[ListingServer]:
    """A listing server that runs while the block runs.

    Raises:
        ProcessError: it does not start; with the end of its log.
    """
    command = [sys.executable, "-m", "testkit.s3", "--port", str(port), "--region", region]
    for spec in buckets:
        command += ["--bucket", msgspec.json.encode(spec).decode()]
    # Credentials are passed in the environment: every user of the machine can read arguments.
    environment = {"TESTKIT_S3_ACCESS_KEY": access_key, "TESTKIT_S3_SECRET_KEY": secret_key, **_KEEP_MEMORY}
    with child_process("the listing server", command, environment=environment) as child:
        ready = msgspec.json.decode(child.read_line(_START_SECONDS))
        yield ListingServer(child, ready["endpoint_url"], (access_key, secret_key, region))
