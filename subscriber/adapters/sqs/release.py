"""What is still held at the end of a stop goes back to its queues, where others see it at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from subscriber.adapters.sqs.client import Sqs
from subscriber.errors import QueueCallError
from subscriber.observe.log import get_logger

_log = get_logger()


async def release(queues: Sqs, outstanding: Sequence[tuple[str, tuple[str, ...]]], seconds_at_most: float) -> None:
    """Make messages visible again, as many as can be within the time; what fails is logged and comes back by itself.

    Args:
        queues: the open edge.
        outstanding: queue and receipt handles of each lease; a stop that went well has none.
        seconds_at_most: the rest of the stop's budget.
    """
    if not outstanding:
        return
    done = 0

    async def give(queue: str, handles: tuple[str, ...]) -> None:
        nonlocal done
        try:
            released = await queues.release(queue, handles)
        except QueueCallError as error:  # the others go on
            _log.error("messages.not_released", messages=len(handles), detail=str(error))
        else:
            done += released

    try:
        async with asyncio.timeout(seconds_at_most), asyncio.TaskGroup() as calls:
            for queue, handles in outstanding:
                calls.create_task(give(queue, handles), name="hand back")
    except TimeoutError:
        _log.error("messages.not_released", detail="the stop budget is used up")
    _log.warning("messages.released", done=done, held=sum(len(handles) for _, handles in outstanding))
