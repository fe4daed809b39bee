"""Long polls that wait for messages; the oldest is answered first.

The polls belong to the event loop's thread. Code that makes a message visible need not know about them: `serve` runs
after each request, and one timer runs it at the earliest time at which a message becomes visible by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from testkit.sqs import shapes
from testkit.sqs.operations import MessageOperations, Poll
from testkit.sqs.store import Queue

Reply: TypeAlias = Callable[[shapes.ReceiveAnswer], None]

_TIMER_GRAIN_SECONDS = 0.001
"""The event loop's timers have millisecond resolution: rounding up avoids an early, empty receive."""


class WaitingPoll:
    """One poll that found no message yet. Call `leave` when its client is gone, so that it gets no message."""

    def __init__(self, polls: Polls, poll: Poll, reply: Reply) -> None:
        self.poll = poll
        self._polls = polls
        self._reply = reply
        self._expiry = asyncio.get_running_loop().call_later(poll.wait_seconds, self.answer, None)

    def answer(self, answer: shapes.ReceiveAnswer | None) -> None:
        """Reply, without messages if the wait time is over, and stop waiting."""
        self.leave()
        self._reply(answer or shapes.ReceiveAnswer())

    def leave(self) -> None:
        """Stop waiting."""
        self._expiry.cancel()
        self._polls.forget(self)


class Polls:
    """Every waiting poll, by queue, in the order of arrival."""

    def __init__(self, operations: MessageOperations, clock: Callable[[], float]) -> None:
        self._operations = operations
        self._clock = clock
        self._waiting: dict[Queue, dict[WaitingPoll, None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def wait(self, poll: Poll, reply: Reply) -> WaitingPoll:
        """Add a poll; `reply` is called once, unless the poll leaves before."""
        waiting = WaitingPoll(self, poll, reply)
        self._waiting.setdefault(poll.queue, {})[waiting] = None
        self._set_timer()
        return waiting

    def forget(self, waiting: WaitingPoll) -> None:
        """Remove the poll."""
        queue = waiting.poll.queue
        polls = self._waiting.get(queue, {})
        polls.pop(waiting, None)
        if not polls:
            self._waiting.pop(queue, None)

    def serve(self) -> None:
        """Answer every poll for which there is a message."""
        if not self._waiting:
            return
        now = self._clock()
        # Repeat after a success: a receive may have moved dead letters to a queue that was checked before.
        while any(self._serve_queue(queue, now) for queue in list(self._waiting)):
            pass
        self._set_timer()

    def release(self, queue: Queue) -> None:
        """Answer all polls of a queue that is deleted."""
        for waiting in list(self._waiting.get(queue, {})):
            waiting.answer(None)

    def _serve_queue(self, queue: Queue, now: float) -> bool:
        polls = self._waiting.get(queue, {})
        took = False
        while polls and queue.has_visible(now):
            took = True
            oldest = next(iter(polls))
            answer = self._operations.try_poll(oldest.poll, now)
            if answer is not None:
                oldest.answer(answer)
        return took

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._clock()
        moments = [queue.next_change(now) for queue in self._waiting]
        earliest = min((moment for moment in moments if moment is not None), default=None)
        if earliest is not None:
            delay = max(0.0, earliest - now) + _TIMER_GRAIN_SECONDS
            self._timer = asyncio.get_running_loop().call_later(delay, self.serve)
