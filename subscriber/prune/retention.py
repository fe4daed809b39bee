"""Asks SQS how long messages live in the queues and in their dead-letter queues."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from subscriber.adapters.sqs.client import Sqs
from subscriber.check.probe_queue import dead_letter_url
from subscriber.check.rules.queue import dead_letter_arn
from subscriber.errors import QueueCallError, QueueError
from subscriber.options import check_options
from subscriber.prune.age import Retention
from subscriber.settings.table import Settings


async def retentions(settings: Settings) -> list[Retention]:
    """The retention of every queue in the settings.

    Raises:
        QueueError: one cannot be asked, so nothing may be deleted.
    """
    async with Sqs(check_options(settings)) as queues:
        return [await _retention(queues, queue) for queue in settings.queue_urls]


async def _retention(queues: Sqs, queue: str) -> Retention:
    attributes = await _attributes(queues, queue, queue)
    arn = dead_letter_arn(attributes)
    own = _period(attributes)
    if arn is None:
        return Retention(queue, own)
    dead_letters = await _attributes(queues, dead_letter_url(queue, arn), queue)
    return Retention(queue, own, _period(dead_letters))


async def _attributes(queues: Sqs, queue: str, through: str) -> Mapping[str, str]:
    try:
        return await queues.attributes(queue, through=through)
    except QueueCallError as error:
        raise QueueError(
            f"the retention of queue {queue} cannot be read ({error}), so no tombstone is removed; allow "
            "sqs:GetQueueAttributes on it"
        ) from error


def _period(attributes: Mapping[str, str]) -> timedelta:
    return timedelta(seconds=int(attributes["MessageRetentionPeriod"]))
