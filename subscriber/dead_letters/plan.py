"""Decides about dead letters: which queue is meant, why a body is here, where it goes, what fits one call. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from subscriber.adapters.sqs.dead_letters import DeadLetter
from subscriber.errors import ConfigurationError
from subscriber.events.decode import decode
from subscriber.model import ENTRIES_PER_CALL, Delivery
from subscriber.queue_url import queue_name

READABLE = "readable"
"""The reason of a message that decode understands: the database, not its body, kept it from being stored."""

SEND_BYTES_AT_MOST = 262_144
"""Of the bodies of one SendMessageBatch: the limit that every SQS-compatible service has."""


class Source(msgspec.Struct, frozen=True):
    """A configured queue."""

    url: str
    arn: str


class DeadLetterQueue(msgspec.Struct, frozen=True):
    """A dead-letter queue of configured queues."""

    url: str
    arn: str
    sources: tuple[Source, ...]
    """The configured queues; others may share it."""
    visible_messages: int
    in_flight_messages: int
    retention_seconds: int
    has_redrive_policy: bool
    """Whether a receive may move its messages to yet another queue."""

    @property
    def name(self) -> str:
        """The last part of its URL."""
        return queue_name(self.url)


def dead_letter_queue(url: str, sources: Sequence[Source], attributes: Mapping[str, str]) -> DeadLetterQueue:
    """What GetQueueAttributes says of a dead-letter queue."""
    return DeadLetterQueue(
        url=url,
        arn=attributes["QueueArn"],
        sources=tuple(sources),
        visible_messages=int(attributes["ApproximateNumberOfMessages"]),
        in_flight_messages=int(attributes["ApproximateNumberOfMessagesNotVisible"]),
        retention_seconds=int(attributes["MessageRetentionPeriod"]),
        has_redrive_policy=bool(attributes.get("RedrivePolicy")),
    )


def chosen(queues: Sequence[DeadLetterQueue], name: str | None) -> DeadLetterQueue:
    """The queue that `name` (a name or URL) means, or the only one.

    Raises:
        ConfigurationError: there is none, or several.
    """
    if not queues:
        raise ConfigurationError("no queue of SUBSCRIBER_QUEUE_URLS has a dead-letter queue; give one a RedrivePolicy")
    found = [queue for queue in queues if name is None or name in {queue.name, queue.url}]
    if len(found) == 1:
        return found[0]
    names = ", ".join(queue.url for queue in queues)
    if found:
        raise ConfigurationError(f"several dead-letter queues are possible; name one by its URL: {names}")
    raise ConfigurationError(f"{name} is no dead-letter queue of SUBSCRIBER_QUEUE_URLS; there are {names}")


def require_receivable(queue: DeadLetterQueue) -> None:
    """Check that receiving from the queue does not move its messages elsewhere.

    Raises:
        ConfigurationError: it has a redrive policy of its own.
    """
    if queue.has_redrive_policy:
        raise ConfigurationError(
            f"the dead-letter queue {queue.name} has a RedrivePolicy of its own: every receive is a step towards yet "
            "another queue; remove that policy first"
        )


def meaning(letter: DeadLetter) -> tuple[str, Delivery]:
    """The reason word of a letter, and its body decoded as the daemon does."""
    delivery = decode(letter.message)
    return (delivery.rejection.reason if delivery.rejection else READABLE), delivery


def target_of(letter: DeadLetter, queue: DeadLetterQueue) -> str | None:
    """URL of the configured queue that a letter came from; None if it came from another.

    Where SQS does not say, the only configured queue.
    """
    if letter.source_arn:
        return next((source.url for source in queue.sources if source.arn == letter.source_arn), None)
    return queue.sources[0].url if len(queue.sources) == 1 else None


def by_target(letters: Iterable[DeadLetter], queue: DeadLetterQueue) -> dict[str | None, list[DeadLetter]]:
    """Letters by the queue they go to."""
    found: dict[str | None, list[DeadLetter]] = {}
    for letter in letters:
        found.setdefault(target_of(letter, queue), []).append(letter)
    return found


def calls_of(letters: Sequence[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """The letters in parts that fit one SendMessageBatch each."""
    part: list[DeadLetter] = []
    size_bytes = 0
    for letter in letters:
        body_bytes = len(letter.message.body.encode())
        if part and (len(part) == ENTRIES_PER_CALL or size_bytes + body_bytes > SEND_BYTES_AT_MOST):
            yield part
            part, size_bytes = [], 0
        part.append(letter)
        size_bytes += body_bytes
    if part:
        yield part
