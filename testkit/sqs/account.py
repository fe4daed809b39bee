"""All queues of the lab's one account: found by URL, name or ARN, and tied by their redrive policies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from testkit.sqs import errors, limits
from testkit.sqs.attributes import ACCOUNT, QueueAttributes
from testkit.sqs.message import StoredMessage
from testkit.sqs.store import DecisionLog, Queue


class Account:
    """The queues. `endpoint_url` is the front part of every queue's URL, without a slash at its end."""

    def __init__(
        self,
        endpoint_url: str,
        *,
        region: str = "us-east-1",
        in_flight_limit: int = limits.MAX_IN_FLIGHT,
        journal: DecisionLog | None = None,
    ) -> None:
        self._url_prefix = f"{endpoint_url}/{ACCOUNT}/"
        self._arn_prefix = f"arn:aws:sqs:{region}:{ACCOUNT}:"
        self.in_flight_limit = in_flight_limit
        self._decision_log = journal
        self._queues: dict[str, Queue] = {}
        self._created_at: dict[str, float] = {}
        self._modified_at: dict[str, float] = {}
        self._purged_at: dict[str, float] = {}
        self._deleted_at: dict[str, float] = {}

    def __iter__(self) -> Iterator[Queue]:
        """The queues by name."""
        return iter([self._queues[name] for name in sorted(self._queues)])

    def url(self, queue: Queue) -> str:
        """The queue's URL, which is also how most requests name it."""
        return self._url_prefix + queue.name

    def create(self, name: str, given: Mapping[str, str], now: float) -> Queue:
        """A new queue, or the one that is there with equal attributes.

        Raises:
            errors.Refused: QueueNameExists, QueueDeletedRecently, or for the name or an attribute.
        """
        limits.check_queue_name(name)
        attributes = self._checked(QueueAttributes().changed(given))
        if (queue := self._queues.get(name)) is not None:
            described = queue.attributes.described()
            asked = attributes.described()
            for attribute in given:
                if described.get(attribute) != asked.get(attribute):
                    raise errors.QUEUE_NAME_EXISTS.because(
                        f"A queue already exists with the same name and a different value for attribute {attribute}"
                    )
            return queue
        if now - self._deleted_at.get(name, -limits.NAME_REUSE_SECONDS) < limits.NAME_REUSE_SECONDS:
            raise errors.QUEUE_DELETED_RECENTLY.because(
                f"You must wait {limits.NAME_REUSE_SECONDS} seconds after deleting a queue before you can "
                "create another with the same name."
            )
        queue = Queue(name, attributes, in_flight_limit=self.in_flight_limit, journal=self._decision_log)
        self._queues[name] = queue
        self._created_at[name] = self._modified_at[name] = now
        return queue

    def delete(self, queue: Queue, now: float) -> None:
        """End the queue with all that is in it."""
        queue.purge()
        del self._queues[queue.name]
        self._purged_at.pop(queue.name, None)
        recent = now - limits.NAME_REUSE_SECONDS
        self._deleted_at = {name: at for name, at in self._deleted_at.items() if at > recent}
        self._deleted_at[queue.name] = now

    def purge(self, queue: Queue, now: float) -> None:
        """Empty the queue.

        Raises:
            errors.Refused: PurgeQueueInProgress, within a minute of the last time.
        """
        if now - self._purged_at.get(queue.name, -limits.PURGE_INTERVAL_SECONDS) < limits.PURGE_INTERVAL_SECONDS:
            raise errors.PURGE_QUEUE_IN_PROGRESS.because(
                f"Only one PurgeQueue operation on {queue.name} is allowed every "
                f"{limits.PURGE_INTERVAL_SECONDS} seconds."
            )
        self._purged_at[queue.name] = now
        queue.purge()

    def set_attributes(self, queue: Queue, given: Mapping[str, str], now: float) -> None:
        """Change some attributes; what is already in flight or delayed keeps its deadline.

        Raises:
            errors.Refused: for the name or value of an attribute.
        """
        queue.attributes = self._checked(queue.attributes.changed(given))
        self._modified_at[queue.name] = now

    def describe(self, queue: Queue, now: float) -> dict[str, str]:
        """Every attribute of the queue; the counts are exact, where the real ones are approximate."""
        counts = queue.counts(now)
        return {
            **queue.attributes.described(),
            "QueueArn": self._arn_prefix + queue.name,
            "CreatedTimestamp": str(int(self._created_at[queue.name])),
            "LastModifiedTimestamp": str(int(self._modified_at[queue.name])),
            "ApproximateNumberOfMessages": str(counts.visible),
            "ApproximateNumberOfMessagesNotVisible": str(counts.in_flight),
            "ApproximateNumberOfMessagesDelayed": str(counts.delayed),
        }

    def named(self, name: str) -> Queue:
        """The queue of this name.

        Raises:
            errors.Refused: QueueDoesNotExist.
        """
        try:
            return self._queues[name]
        except KeyError:
            raise errors.QUEUE_DOES_NOT_EXIST.because("The specified queue does not exist.") from None

    def at(self, url: str) -> Queue:
        """The queue of this URL; its host does not matter, as a server may be reached under several.

        Raises:
            errors.Refused: QueueDoesNotExist, or MissingParameter if the URL is empty.
        """
        if not url:
            raise errors.MISSING_PARAMETER.because("The request must contain the parameter QueueUrl.")
        front, _, name = url.rpartition("/")
        return self.named(name if front.endswith("/" + ACCOUNT) else "")

    def bury(self, source: Queue, dead: list[StoredMessage]) -> None:
        """Move messages that used up their receives to the dead-letter queue of their queue.

        If that queue was deleted meanwhile they begin anew where they are: nothing is lost.
        """
        target = self._by_arn(source.attributes.dead_letter_arn or "") or source
        for letter in dead:
            target.accept(letter, self._arn_prefix + source.name)

    def _by_arn(self, arn: str) -> Queue | None:
        return self._queues.get(arn.removeprefix(self._arn_prefix)) if arn.startswith(self._arn_prefix) else None

    def _checked(self, attributes: QueueAttributes) -> QueueAttributes:
        arn = attributes.dead_letter_arn
        if arn is not None and self._by_arn(arn) is None:
            raise errors.INVALID_PARAMETER.because(
                f"Value {attributes.given['RedrivePolicy']} for parameter RedrivePolicy is invalid. "
                "Reason: Dead letter target does not exist."
            )
        return attributes
