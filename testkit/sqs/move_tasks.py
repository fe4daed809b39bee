"""StartMessageMoveTask, ListMessageMoveTasks, CancelMessageMoveTask: dead letters go back to their source queues.

The emulator never waits, so a task moves what is due by its rate whenever a call about tasks arrives. Sources: the SQS
API reference, and "Configure a dead-letter queue redrive" of the SQS developer guide.
"""

from __future__ import annotations

import math
import uuid

import msgspec

from testkit.sqs import errors, limits, shapes
from testkit.sqs.account import Account
from testkit.sqs.store import Queue

_RATE_AT_MOST = 500
"""MaxNumberOfMessagesPerSecond (SQS API reference)."""

_LISTED_AT_MOST = 10

_NO_SOURCE = "CouldNotDetermineMessageSource"


class _Task(msgspec.Struct):
    queue: Queue
    arn: str
    per_second: float
    started_at: float
    total: int
    handle: str
    status: str = "RUNNING"
    moved: int = 0
    failure: str = ""


class MoveTasks:
    """The move tasks of the account, newest first."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._tasks: list[_Task] = []

    def start(self, request: shapes.StartMoveRequest, now: float) -> shapes.MoveHandle:
        """StartMessageMoveTask, to the source queues only."""
        if request.destination_arn:
            raise errors.UNSUPPORTED_OPERATION.because("This SQS emulator moves to source queues only.")
        queue = self._dead_letter_queue(request.source_arn)
        rate = request.max_number_of_messages_per_second
        if rate is not None:
            limits.check_range("MaxNumberOfMessagesPerSecond", rate, 1, _RATE_AT_MOST)
        self._advance(now)
        if any(task.arn == request.source_arn and task.status == "RUNNING" for task in self._tasks):
            raise errors.UNSUPPORTED_OPERATION.because("There is already a task running for this queue.")
        handle = str(uuid.uuid4())
        total = queue.counts(now).visible
        self._tasks.insert(0, _Task(queue, request.source_arn, rate or math.inf, now, total, handle))
        self._advance(now)
        return shapes.MoveHandle(handle)

    def list(self, request: shapes.ListMovesRequest, now: float) -> shapes.MovesAnswer:
        """ListMessageMoveTasks."""
        self._dead_letter_queue(request.source_arn)
        wanted = limits.check_range("MaxResults", request.max_results, 1, _LISTED_AT_MOST)
        self._advance(now)
        found = [task for task in self._tasks if task.arn == request.source_arn]
        return shapes.MovesAnswer([_described(task) for task in found[:wanted]])

    def cancel(self, request: shapes.MoveHandle, now: float) -> shapes.MovedAnswer:
        """CancelMessageMoveTask."""
        self._advance(now)
        task = next((each for each in self._tasks if each.handle == request.task_handle), None)
        if task is None or task.status != "RUNNING":
            raise errors.RESOURCE_NOT_FOUND.because("Task does not exist, or is not running.")
        task.status = "CANCELLED"
        return shapes.MovedAnswer(task.moved)

    def _advance(self, now: float) -> None:
        for task in self._tasks:
            if task.status == "RUNNING":
                self._move(task, now)

    def _move(self, task: _Task, now: float) -> None:
        elapsed = now - task.started_at
        due = task.total if math.isinf(task.per_second) else min(task.total, int(elapsed * task.per_second))
        for letter in task.queue.take(due - task.moved, now):
            source = self._account.by_arn(letter.source_arn or "")
            if source is None:
                task.queue.accept(letter, letter.source_arn or "")
                task.status, task.failure = "FAILED", _NO_SOURCE
                return
            source.send(letter.body, now)
            task.moved += 1
        if due >= task.total:
            task.status = "COMPLETED"

    def _dead_letter_queue(self, arn: str) -> Queue:
        queue = self._account.by_arn(arn)
        if queue is None:
            raise errors.RESOURCE_NOT_FOUND.because("The resource that you specified for the SourceArn doesn't exist.")
        if not any(each.attributes.dead_letter_arn == arn for each in self._account):
            raise errors.INVALID_PARAMETER.because("Source queue must be configured as a Dead Letter Queue.")
        return queue


def _described(task: _Task) -> shapes.MoveResult:
    return shapes.MoveResult(
        task_handle=task.handle if task.status == "RUNNING" else "",
        status=task.status,
        source_arn=task.arn,
        approximate_number_of_messages_moved=task.moved,
        approximate_number_of_messages_to_move=task.total,
        failure_reason=task.failure,
        started_timestamp=int(task.started_at * 1000),
    )
