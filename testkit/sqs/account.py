"""All queues of the emulator's one account: looked up by URL, name or ARN, and connected by redrive policies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from testkit.sqs import errors, limits
from testkit.sqs.attributes import ACCOUNT, QueueAttributes
from testkit.sqs.message import StoredMessage
from testkit.sqs.store import DeletionListener, Queue


class Account:
    """The queues. `endpoint_url` is the prefix of every queue's URL, without a slash at its end."""

    def __init__(
        self,
        endpoint_url: str,
        *,
        region: str = "us-east-1",
        in_flight_limit: int = limits.MAX_IN_FLIGHT,
        on_delete: DeletionListener | None = None,
    ) -> None:
        self._url_prefix = f"{endpoint_url}/{ACCOUNT}/"
        self._arn_prefix = f"arn:aws:sqs:{region}:{ACCOUNT}:"
        self.in_flight_limit = in_flight_limit
        self._on_delete = on_delete
        self._queues: dict[str, Queue] = {}
        self._created_at: dict[str, float] = {}
        self._modified_at: dict[str, float] = {}
        self._purged_at: dict[str, float] = {}
        self._deleted_at: dict[str, float] = {}

    def __iter__(self) -> Iterator[Queue]:
        """The queues by name."""
        return iter([self._queues[name] for name in sorted(self._queues)])

    def url(self, queue: Queue) -> str:
        """The queue's URL, by which most requests name it."""
        return self._url_prefix + queue.name

    def create(self, name: str, given: Mapping[str, str], now: float) -> Queue:
        """Create a queue, or return the existing one if its attributes are equal.

        Raises:
            errors.RejectedError: QueueNameExists, QueueDeletedRecently, or for the name or an attribute.
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
        queue = Queue(name, attributes, in_flight_limit=self.in_flight_limit, on_delete=self._on_delete)
        self._queues[name] = queue
        self._created_at[name] = self._modified_at[name] = now
        return queue

    def delete(self, queue: Queue, now: float) -> None:
        """Delete the queue with its messages."""
        queue.purge()
        del self._queues[queue.name]
        self._purged_at.pop(queue.name, None)
        recent = now - limits.NAME_REUSE_SECONDS
        self._deleted_at = {name: at for name, at in self._deleted_at.items() if at > recent}
        self._deleted_at[queue.name] = now

    def purge(self, queue: Queue, now: float) -> None:
        """Delete all messages of the queue.

        Raises:
            errors.RejectedError: PurgeQueueInProgress, within a minute of the last purge.
        """
        if now - self._purged_at.get(queue.name, -limits.PURGE_INTERVAL_SECONDS) < limits.PURGE_INTERVAL_SECONDS:
            raise errors.PURGE_QUEUE_IN_PROGRESS.because(
                f"Only one PurgeQueue operation on {queue.name} is allowed every "
                f"{limits.PURGE_INTERVAL_SECONDS} seconds."
            )
        self._purged_at[queue.name] = now
        queue.purge()

    def set_attributes(self, queue: Queue, given: Mapping[str, str], now: float) -> None:
        """Change some attributes; messages in flight or delayed keep their deadlines.

        Raises:
            errors.RejectedError: for the name or value of an attribute.
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
            errors.RejectedError: QueueDoesNotExist.
        """
        try:
            return self._queues[name]
        except KeyError:
            raise errors.QUEUE_DOES_NOT_EXIST.because("The specified queue does not exist.") from None

    def at(self, url: str) -> Queue:
        """The queue of this URL; its host is ignored, because a server may have several names.

        Raises:
            errors.RejectedError: QueueDoesNotExist, or MissingParameter if the URL is empty.
        """
        if not url:
            raise errors.MISSING_PARAMETER.because("The request must contain the parameter QueueUrl.")
        front, _, name = url.rpartition("/")
        return self.named(name if front.endswith("/" + ACCOUNT) else "")

    def move_to_dead_letter_queue(self, source: Queue, dead: list[StoredMessage]) -> None:
        """Move messages that exceeded maxReceiveCount to the dead-letter queue of their queue.

        If that queue has been deleted, they return to their own queue with a new count: nothing is lost.
        """
        target = self.by_arn(source.attributes.dead_letter_arn or "") or source
        for letter in dead:
            target.accept(letter, self._arn_prefix + source.name)

    def by_arn(self, arn: str) -> Queue | None:
        """The queue of this ARN; None if there is none."""
        return self._queues.get(arn.removeprefix(self._arn_prefix)) if arn.startswith(self._arn_prefix) else None

    def _checked(self, attributes: QueueAttributes) -> QueueAttributes:
        arn = attributes.dead_letter_arn
        if arn is not None and self.by_arn(arn) is None:
            raise errors.INVALID_PARAMETER.because(
                f"Value {attributes.given['RedrivePolicy']} for parameter RedrivePolicy is invalid. "
                "Reason: Dead letter target does not exist."
            )
        return attributes
