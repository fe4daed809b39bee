"""Releases messages that will not be written here: visible at once, so that another consumer can receive them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from subscriber.errors import QueueCallError
from subscriber.observe.log import get_logger
from subscriber.ports import QueueClient

_log = get_logger()


async def release(queues: QueueClient, queue: str, handles: Sequence[str], *, name: str) -> int:
    """Release messages of one queue and log what failed.

    Args:
        queues: the SQS client.
        queue: URL of the queue.
        handles: receipt handles of the messages.
        name: of the queue, in the log.

    Returns:
        How many SQS reports as released; the others become visible when their leases end.
    """
    try:
        done = len(set((await queues.release(queue, handles)).done))
    except QueueCallError as error:
        _log.warning(
            "messages.not_released",
            queue=name,
            messages=len(handles),
            reason=error.code,
            detail=str(error),
        )
        return 0
    if done < len(handles):
        _log.warning("messages.not_released", queue=name, messages=len(handles) - done)
    return done


async def release_all(
    queues: QueueClient,
    outstanding: Iterable[tuple[str, Sequence[str]]],
    seconds_at_most: float,
    name_of: Callable[[str], str],
) -> None:
    """Release everything that is still held at the end of a stop; a call that fails does not affect the others.

    Args:
        queues: the SQS client.
        outstanding: queue and receipt handles of each lease; none after a stop in time.
        seconds_at_most: the rest of the stop budget.
        name_of: the name of a queue in the log, for its URL.
    """
    held = list(outstanding)
    if not held:
        return
    done = 0

    async def release_one(queue: str, handles: Sequence[str]) -> None:
        nonlocal done
        done += await release(queues, queue, handles, name=name_of(queue))

    try:
        async with asyncio.timeout(seconds_at_most), asyncio.TaskGroup() as calls:
            for queue, handles in held:
                calls.create_task(release_one(queue, handles), name="release")
    except TimeoutError:
        _log.error("messages.not_released", detail="the stop budget is used up")
    _log.warning("messages.released", done=done, held=sum(len(handles) for _, handles in held))
