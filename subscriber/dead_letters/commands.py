"""Implements `subscriber dlq` for the queues that the settings name."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable

import msgspec

from subscriber.adapters.sqs.client import Sqs
from subscriber.adapters.sqs.dead_letters import DeadLetter, DeadLetterCalls, MoveTask
from subscriber.check.probe_queue import dead_letter_url
from subscriber.check.rules.queue import dead_letter_arn
from subscriber.dead_letters.plan import (
    DeadLetterQueue,
    Source,
    by_target,
    calls_of,
    dead_letter_queue,
    meaning,
    require_receivable,
)
from subscriber.errors import QueueCallError, QueueError

LOOK_SECONDS = 60
"""A message that is looked at is invisible so long if the process dies."""

MOVE_SECONDS = 120
"""The same for a message that is being moved."""

POLL_SECONDS = 1.0
"""Between two questions how far a move task is."""

_CLOSING_SECONDS = 10.0
"""For a release or a cancel at the end."""


class Redrive(msgspec.Struct, frozen=True):
    """What to move, and how fast."""

    limit: int
    """Messages to look at, at most: what comes back while we move is not moved again."""
    per_second: int
    reasons: frozenset[str] = frozenset()
    """Only letters with one of these; empty: all."""


class MoveTally(msgspec.Struct):
    """What a move of our own has done so far."""

    seen: int = 0
    moved: int = 0
    not_chosen: int = 0
    of_other_queues: int = 0
    """Came from a queue that is not configured: they stay."""
    refused: int = 0
    """Not taken by the queue, or sent but not deleted here: they stay, and the index takes a duplicate."""


Progress = Callable[[int, int], None]
"""Called with the messages that are moved, and how many there are."""


async def dead_letter_queues(queues: Sqs, urls: tuple[str, ...]) -> list[DeadLetterQueue]:
    """The dead-letter queues of the configured queues, each once.

    Raises:
        QueueError: a queue cannot be asked.
    """
    sources: dict[str, list[Source]] = {}
    for url in urls:
        attributes = await _attributes(queues, url, url)
        if (arn := dead_letter_arn(attributes)) is not None:
            sources.setdefault(dead_letter_url(url, arn), []).append(Source(url, attributes["QueueArn"]))
    return [
        dead_letter_queue(url, found, await _attributes(queues, url, found[0].url)) for url, found in sources.items()
    ]


async def look(queues: Sqs, queue: DeadLetterQueue, limit: int) -> AsyncIterator[DeadLetter]:
    """Yield letters and make them visible again at the end; half of LOOK_SECONDS at most.

    Each look counts as a receive; a dead-letter queue without a redrive policy of its own keeps its messages all the
    same.
    """
    require_receivable(queue)
    calls = calls_about(queues, queue)
    ends_at = asyncio.get_running_loop().time() + LOOK_SECONDS / 2
    seen: dict[str, str] = {}
    try:
        while len(seen) < limit and asyncio.get_running_loop().time() < ends_at:
            page = await calls.receive(LOOK_SECONDS, limit - len(seen))
            fresh = [letter for letter in page if letter.message.message_id not in seen]
            seen.update((letter.message.message_id, letter.message.receipt_handle) for letter in page)
            for letter in fresh:
                yield letter
            if not fresh:
                return
    finally:
        await _released(calls, list(seen.values()))


async def move(queues: Sqs, queue: DeadLetterQueue, redrive: Redrive, tally: MoveTally, progress: Progress) -> None:
    """Move letters ourselves: send, then delete. Whenever it is stopped, each is in one of the queues, or in both."""
    require_receivable(queue)
    calls = calls_about(queues, queue)
    clock = asyncio.get_running_loop()
    started = clock.time()
    kept: dict[str, str] = {}
    try:
        while tally.seen < redrive.limit:
            page = await calls.receive(MOVE_SECONDS, redrive.limit - tally.seen)
            fresh = [letter for letter in page if letter.message.message_id not in kept]
            kept.update((letter.message.message_id, letter.message.receipt_handle) for letter in page)
            if not fresh:
                return  # the queue is empty, or has only letters that stay and whose visibility timeout has ended
            for message_id in await _move_page(calls, queue, fresh, redrive, tally):
                del kept[message_id]
            progress(tally.moved, redrive.limit)
            await asyncio.sleep(max(0.0, started + tally.moved / redrive.per_second - clock.time()))
    finally:
        await _released(calls, list(kept.values()))


async def move_by_sqs(queues: Sqs, queue: DeadLetterQueue, per_second: int, progress: Progress) -> MoveTask | None:
    """Let SQS move all letters, and wait until it has; a canceled wait cancels the move. None: SQS cannot here.

    Raises:
        QueueError: the move failed.
    """
    calls = calls_about(queues, queue)
    handle = await calls.start_move(queue.arn, per_second)
    if handle is None:
        return None
    try:
        task = await _ended_task(calls, queue, progress)
    except asyncio.CancelledError:
        with contextlib.suppress(QueueCallError, TimeoutError):
            async with asyncio.timeout(_CLOSING_SECONDS):
                await calls.cancel_move(handle)
        raise
    if task.status == "FAILED":
        raise QueueError(f"SQS could not move the messages of {queue.name}: {task.failure}; the rest is still there")
    return task


def calls_about(queues: Sqs, queue: DeadLetterQueue) -> DeadLetterCalls:
    """The calls about a dead-letter queue."""
    return DeadLetterCalls(queues, queue.sources[0].url, queue.url)


async def moves(queues: Sqs, queue: DeadLetterQueue) -> list[MoveTask] | None:
    """The last move tasks of a queue; None if SQS does not say."""
    try:
        return await calls_about(queues, queue).moves(queue.arn)
    except QueueCallError:
        return None  # a list of queues is useful without them


async def _ended_task(calls: DeadLetterCalls, queue: DeadLetterQueue, progress: Progress) -> MoveTask:
    """The newest task, once it has ended."""
    while True:
        tasks = await calls.moves(queue.arn)
        if not tasks:
            raise QueueError(f"SQS began to move messages of {queue.name} and lists no task; ask `subscriber dlq list`")
        if tasks[0].status != "RUNNING":
            return tasks[0]
        progress(tasks[0].moved_messages, tasks[0].total_messages)
        await asyncio.sleep(POLL_SECONDS)


async def _move_page(
    calls: DeadLetterCalls, queue: DeadLetterQueue, page: list[DeadLetter], redrive: Redrive, tally: MoveTally
) -> set[str]:
    """Move the chosen letters of a page; the ids of those that are gone from here."""
    selected = [each for each in page if not redrive.reasons or meaning(each)[0] in redrive.reasons]
    tally.seen += len(page)
    tally.not_chosen += len(page) - len(selected)
    gone: set[str] = set()
    for target, letters in by_target(selected, queue).items():
        if target is None:
            tally.of_other_queues += len(letters)
            continue
        for part in calls_of(letters):
            taken = await calls.send(target, part)
            deleted = await calls.delete(taken) if taken else 0
            tally.moved += deleted
            tally.refused += len(part) - deleted
            if deleted == len(taken):
                gone.update(letter.message.message_id for letter in taken)
    return gone


async def _released(calls: DeadLetterCalls, handles: list[str]) -> None:
    """Release what is held; where that fails SQS does so when the visibility timeout ends."""
    with contextlib.suppress(QueueCallError, TimeoutError):
        async with asyncio.timeout(_CLOSING_SECONDS):
            await calls.release(handles)


async def _attributes(queues: Sqs, url: str, through: str) -> dict[str, str]:
    try:
        return dict(await queues.attributes(url, through=through))
    except QueueCallError as error:
        raise QueueError(f"queue {url} cannot be asked ({error}); allow sqs:GetQueueAttributes on it") from error


def reasons_of(letters: list[DeadLetter]) -> Counter[str]:
    """How many letters have each reason."""
    return Counter(meaning(letter)[0] for letter in letters)
