"""What the queues say of themselves: how much waits and how much is in flight, asked a few times a minute.

Each queue has a task of its own, so that one which does not answer leaves the others alone. The counts are
approximate and up to a minute late by nature (SQS API reference, GetQueueAttributes), so asking more often would
only cost. A look that fails costs the counts and nothing else: after a while they are unknown, and the line goes on.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from subscriber.errors import QueueCallError
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics, queue_name

PERIOD_SECONDS = 15.0
JITTER = 0.2
"""Part of the period by which a pause is longer or shorter, so that a fleet started together does not ask together."""

FIRST_LOOK_WITHIN_SECONDS = 5.0

CALL_AT_MOST_SECONDS = 10.0

STALE_AFTER_SECONDS = 60.0
"""Three looks have failed: what was true then may not be any more."""

_log = get_logger()


class Attributes(Protocol):
    """Where a queue can be asked about itself."""

    async def attributes(self, queue: str) -> Mapping[str, str]:
        """All its attributes, as text; raises QueueCallError."""
        ...


class QueueCounts(msgspec.Struct, frozen=True):
    """What one queue said."""

    visible: int
    """Waiting to be received."""
    in_flight: int
    """Received by anybody and not deleted."""
    taken_at: float
    """Seconds of the event loop's clock."""


def counts_from(attributes: Mapping[str, str], taken_at: float) -> QueueCounts:
    """The counts among all attributes.

    Raises:
        ValueError: they are not there, or no numbers.
    """
    try:
        return QueueCounts(
            visible=int(attributes["ApproximateNumberOfMessages"]),
            in_flight=int(attributes["ApproximateNumberOfMessagesNotVisible"]),
            taken_at=taken_at,
        )
    except KeyError as missing:
        raise ValueError(f"the queue says nothing of {missing}") from None


def pause_before_look(chance: float) -> float:
    """Seconds between two looks, for a `chance` in 0 … 1."""
    return PERIOD_SECONDS * (1 - JITTER + 2 * JITTER * chance)


class Backlog:
    """The counts of all queues, and the tasks that ask for them.

    Args:
        queues: their URLs.
        source: where they are asked.
        metrics: the catalog.
    """

    def __init__(self, queues: Sequence[str], source: Attributes, metrics: Metrics) -> None:
        self.queues = tuple(queues)
        self._source = source
        self._metrics = metrics
        self._counts: dict[str, QueueCounts] = {}

    def counts(self, queue: str, now: float) -> QueueCounts | None:
        """What `queue` last said; None: nothing yet, or too long ago."""
        counts = self._counts.get(queue)
        return counts if counts and now - counts.taken_at <= STALE_AFTER_SECONDS else None

    def visible_messages(self, now: float) -> int | None:
        """Messages waiting in all queues together; None while one of them has not said."""
        visible = 0
        for queue in self.queues:
            counts = self.counts(queue, now)
            if counts is None:
                return None
            visible += counts.visible
        return visible

    async def run(self) -> None:
        """Ask for ever; ends by cancellation only."""
        async with asyncio.TaskGroup() as looks:
            for queue in self.queues:
                looks.create_task(self._look_again_and_again(queue), name=f"backlog {queue_name(queue)}")

    async def _look_again_and_again(self, queue: str) -> None:
        failures = 0
        await asyncio.sleep(FIRST_LOOK_WITHIN_SECONDS * random.random())  # noqa: S311 – jitter, not a secret
        while True:
            problem = await self._look(queue)
            failures = failures + 1 if problem else 0
            if problem and failures & (failures - 1) == 0:  # the 1st, 2nd, 4th, 8th …
                _log.warning("backlog.unknown", queue=queue_name(queue), detail=problem, looks=failures)
            self._show(queue)
            await asyncio.sleep(pause_before_look(random.random()))  # noqa: S311 – jitter, not a secret

    async def _look(self, queue: str) -> str | None:
        """Ask once; what went wrong, or None."""
        try:
            async with asyncio.timeout(CALL_AT_MOST_SECONDS):
                attributes = await self._source.attributes(queue)
            self._counts[queue] = counts_from(attributes, asyncio.get_running_loop().time())
        except TimeoutError:
            return f"no answer within {CALL_AT_MOST_SECONDS:g} s"
        except (QueueCallError, ValueError) as error:
            return str(error)
        return None

    def _show(self, queue: str) -> None:
        counts = self.counts(queue, asyncio.get_running_loop().time())
        label = queue_name(queue)
        self._metrics.queue_visible_messages.labels(label).set(counts.visible if counts else float("nan"))
        self._metrics.queue_in_flight_messages.labels(label).set(counts.in_flight if counts else float("nan"))
