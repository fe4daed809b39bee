"""The counts of the queues: how many messages wait and how many are in flight, read a few times a minute.

Each queue has a task of its own, so that one which does not answer does not delay the others. The counts are
approximate and up to a minute late by nature (SQS API reference, GetQueueAttributes), so reading them more often would
only cost more. A failed read costs the counts and nothing else: after a while they count as unknown.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from subscriber.errors import QueueCallError
from subscriber.flow.backoff import is_power_of_two
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics

PERIOD_SECONDS = 15.0
JITTER = 0.2
"""Part of the period by which a pause is longer or shorter, so that workers started together do not read together."""

FIRST_READ_WITHIN_SECONDS = 5.0

CALL_AT_MOST_SECONDS = 10.0

STALE_AFTER_SECONDS = 60.0
"""Three reads have failed: older counts may be wrong by now."""

_log = get_logger()


class Attributes(Protocol):
    """The queue client, as the backlog needs it."""

    async def attributes(self, queue: str) -> Mapping[str, str]:
        """All its attributes, as text; raises QueueCallError."""
        ...


class QueueCounts(msgspec.Struct, frozen=True):
    """The counts of one queue."""

    visible: int
    """Waiting to be received."""
    in_flight: int
    """Received by any consumer and not deleted."""
    taken_at: float
    """Seconds of the event loop's clock."""


def counts_from(attributes: Mapping[str, str], taken_at: float) -> QueueCounts:
    """The counts among all attributes.

    Raises:
        ValueError: they are missing or not numbers.
    """
    try:
        return QueueCounts(
            visible=int(attributes["ApproximateNumberOfMessages"]),
            in_flight=int(attributes["ApproximateNumberOfMessagesNotVisible"]),
            taken_at=taken_at,
        )
    except KeyError as missing:
        raise ValueError(f"the attributes lack {missing}") from None


def pause_before_read(chance: float) -> float:
    """Seconds between two reads, for a `chance` in 0 … 1."""
    return PERIOD_SECONDS * (1 - JITTER + 2 * JITTER * chance)


class Backlog:
    """The counts of all queues, and the tasks that read them.

    Args:
        queues: their URLs.
        source: the queue client.
        metrics: the catalog.
    """

    def __init__(self, queues: Sequence[str], source: Attributes, metrics: Metrics) -> None:
        self.queues = tuple(queues)
        self._source = source
        self._metrics = metrics
        self._counts: dict[str, QueueCounts] = {}

    def counts(self, queue: str, now: float) -> QueueCounts | None:
        """The newest counts of `queue`; None: there are none, or they are too old."""
        counts = self._counts.get(queue)
        return counts if counts and now - counts.taken_at <= STALE_AFTER_SECONDS else None

    def visible_messages(self, now: float) -> int | None:
        """Messages waiting in all queues together; None while one of them is unknown."""
        visible = 0
        for queue in self.queues:
            counts = self.counts(queue, now)
            if counts is None:
                return None
            visible += counts.visible
        return visible

    async def run(self) -> None:
        """Read periodically; ends by cancellation only."""
        async with asyncio.TaskGroup() as readers:
            for queue in self.queues:
                readers.create_task(self._read_periodically(queue), name=f"backlog {self._metrics.queue_name(queue)}")

    async def _read_periodically(self, queue: str) -> None:
        failures = 0
        await asyncio.sleep(FIRST_READ_WITHIN_SECONDS * random.random())  # noqa: S311 – jitter, not a secret
        while True:
            problem = await self._read(queue)
            failures = failures + 1 if problem else 0
            if is_power_of_two(failures):
                _log.warning(
                    "backlog.unknown", queue=self._metrics.queue_name(queue), detail=problem, attempts=failures
                )
            self._publish(queue)
            await asyncio.sleep(pause_before_read(random.random()))  # noqa: S311 – jitter, not a secret

    async def _read(self, queue: str) -> str | None:
        """Read once; why it failed, or None."""
        try:
            async with asyncio.timeout(CALL_AT_MOST_SECONDS):
                attributes = await self._source.attributes(queue)
            self._counts[queue] = counts_from(attributes, asyncio.get_running_loop().time())
        except TimeoutError:
            return f"no answer within {CALL_AT_MOST_SECONDS:g} s"
        except (QueueCallError, ValueError) as error:
            return str(error)
        return None

    def _publish(self, queue: str) -> None:
        counts = self.counts(queue, asyncio.get_running_loop().time())
        label = self._metrics.queue_name(queue)
        self._metrics.queue_visible_messages.labels(label).set(counts.visible if counts else float("nan"))
        self._metrics.queue_in_flight_messages.labels(label).set(counts.in_flight if counts else float("nan"))
