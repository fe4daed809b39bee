"""Live traffic: objects of a changing bucket are put, deleted and removed, and each event goes to the queue at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from random import Random
from typing import Final

from benchmarks.reconcile.parts import BUCKET, Parts
from testkit.environment import REGION
from testkit.process import ProcessError
from testkit.s3.changing import LIVE_PREFIX
from testkit.s3.raw_client import RawS3
from testkit.sqs.raw_client import RawClient
from testkit.workload.bucket import Emission
from testkit.workload.load import BATCH_MESSAGES
from testkit.workload.notifications import native_body

KEYS: Final = 20_000
"""So that at 500 changes a second a key stays as it is for 40 s: longer than the grace, so that it is judged."""
_THREADS: Final = 4
_TICK_SECONDS: Final = 0.02
_PUTS: Final = 0.7
_DELETES: Final = 0.85
"""Up to here a random number makes a delete marker; beyond, it removes a version for good."""


class LiveChanges:
    """Threads that change their own keys each, at a rate together; made by `live_changes`."""

    def __init__(self, parts: Parts, rate: float, seed: int) -> None:
        self._parts, self._rate, self._seed = parts, rate, seed
        self._stop = threading.Event()
        self._errors: list[Exception] = []
        self._sent = [0] * _THREADS
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(_THREADS)]
        self._began = time.monotonic()
        self._seconds = 0.0

    @property
    def sent(self) -> int:
        """Events that the queue has accepted."""
        return sum(self._sent)

    @property
    def rate(self) -> float:
        """Events a second, from the start to now or to the stop."""
        return self.sent / (self._seconds or time.monotonic() - self._began)

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End.

        Raises:
            ProcessError: a change or an event failed.
        """
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._seconds = self._seconds or time.monotonic() - self._began
        if self._errors:
            raise ProcessError(f"the live traffic failed: {self._errors[0]!r}")

    def _run(self, number: int) -> None:
        try:
            with (
                RawS3(self._parts.server.endpoint_url) as s3,
                RawClient(self._parts.environment.server.endpoint_url, region=REGION) as queue,
            ):
                self._change(number, s3, queue)
        except Exception as error:  # noqa: BLE001 - told by stop
            self._errors.append(error)

    def _change(self, number: int, s3: RawS3, queue: RawClient) -> None:
        changes = _Changes(s3, Random(f"{self._seed}/{number}"), range(number, KEYS, _THREADS))
        while not self._stop.wait(_TICK_SECONDS):
            due = int((time.monotonic() - self._began) * self._rate / _THREADS) - self._sent[number]
            while due > 0 and not self._stop.is_set():
                bodies = [changes.next_body() for _ in range(min(due, BATCH_MESSAGES))]
                entries = [{"Id": str(place), "MessageBody": body} for place, body in enumerate(bodies)]
                answer = queue.call("SendMessageBatch", QueueUrl=self._parts.queue_url, Entries=entries)
                if answer.get("Failed"):
                    raise ProcessError(f"the queue rejects events: {answer['Failed']}")
                self._sent[number] += len(bodies)
                due -= len(bodies)


class _Changes:
    """Random changes of some keys, through one connection."""

    def __init__(self, s3: RawS3, random: Random, numbers: range) -> None:
        self._s3, self._random, self._numbers = s3, random, numbers
        self._versions: dict[str, list[str]] = {}

    def next_body(self) -> str:
        """Change one object; the body of the message about it."""
        key = f"{LIVE_PREFIX}{self._random.choice(self._numbers):06}"
        versions = self._versions.setdefault(key, [])
        chance = self._random.random()
        if chance >= _DELETES and versions:
            gone = versions.pop(self._random.randrange(len(versions)))
            self._s3.call("DELETE", f"{BUCKET}/{key}", {"versionId": gone})
            return _body(key, gone, "ObjectRemoved:Delete")
        if chance >= _PUTS and versions:
            versions.append(self._s3.call("DELETE", f"{BUCKET}/{key}").headers["x-amz-version-id"])
            return _body(key, versions[-1], "ObjectRemoved:DeleteMarkerCreated")
        content = self._random.randbytes(self._random.randrange(1, 100))
        headers = self._s3.call("PUT", f"{BUCKET}/{key}", body=content).headers
        versions.append(headers["x-amz-version-id"])
        return _body(key, versions[-1], "ObjectCreated:Put", len(content), headers["etag"].strip('"'))


def _body(key: str, version_id: str, event_name: str, size_bytes: int | None = None, etag: str | None = None) -> str:
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return native_body(
        Emission(
            bucket=BUCKET,
            key=key,
            version_id=version_id,
            event_name=event_name,
            event_time=datetime.fromtimestamp(seconds, UTC),
            sequencer=f"00{seconds:08X}{nanoseconds:08X}",
            size_bytes=size_bytes,
            etag=etag,
        )
    )


@contextmanager
def live_changes(parts: Parts, rate: float, seed: int) -> Iterator[LiveChanges]:
    """Change objects while the block runs.

    Raises:
        ProcessError: a change or an event failed.
    """
    changes = LiveChanges(parts, rate, seed)
    changes.start()
    try:
        yield changes
    finally:
        changes.stop()
