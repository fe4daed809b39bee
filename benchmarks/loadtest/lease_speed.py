"""The CPU cost of the visibility leases by number of queues: `python -m benchmarks.loadtest.lease_speed`.

The same number of polls waits for capacity in every case, as in a backlog: ten messages are settled, one waiting poll
gets the capacity, its answer of ten arrives, and it asks again. The figure is the CPU time of this process per message.
The best of several rounds counts, because other work on the machine can only add to it. Exits with 1 if the largest
number of queues costs more than its share above one queue.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import deque

from subscriber.flow.leases import InFlightLimits, VisibilityLeases
from subscriber.model import MESSAGES_PER_POLL, POLL_BYTES, Lease, Message

QUEUES = (1, 10, 100)
RATIO_AT_MOST = 1.2
"""Cost of the most queues divided by the cost of one."""

POLLS = 200
HELD_MESSAGES = 10_000


class FullLeases:
    """Leases without capacity: `POLLS` tasks wait, spread evenly over the queues."""

    def __init__(self, queues: int) -> None:
        self._queues = [f"https://sqs.eu-west-1.amazonaws.com/1/queue-{number}" for number in range(queues)]
        limits = InFlightLimits(messages=HELD_MESSAGES, bytes=HELD_MESSAGES * POLL_BYTES)
        self.leases = VisibilityLeases(self._queues, limits, visibility_seconds=300)
        self._held: deque[list[Message]] = deque()
        self._polls: list[asyncio.Task[None]] = []
        self.answers = 0

    async def begin(self) -> None:
        """Start the polls and let them fill the leases."""
        for number in range(POLLS):
            poll = self._poll_again_and_again(self._queues[number % len(self._queues)])
            self._polls.append(asyncio.create_task(poll, name=f"poll {number}"))
        answers = -1
        while answers != self.answers:
            answers = self.answers
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def settle(self, answers: int) -> None:
        """Settle the messages of so many polls, the oldest first, and let a waiting poll follow each."""
        for _ in range(answers):
            self.leases.settle(self._held.popleft())
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def end(self) -> None:
        """Cancel the polls."""
        for poll in self._polls:
            poll.cancel()
        await asyncio.gather(*self._polls, return_exceptions=True)

    async def _poll_again_and_again(self, queue: str) -> None:
        while True:
            lease = await self.leases.open(queue)
            messages = self._answer(lease)
            self.leases.fill(lease, messages)
            self._held.append(messages)

    def _answer(self, lease: Lease) -> list[Message]:
        self.answers += 1
        handles = (f"{self.answers}-{position}" for position in range(MESSAGES_PER_POLL))
        return [Message(lease.queue, "id", handle, "{}", 0.0, 1, lease) for handle in handles]


async def cpu_microseconds(queues: int, answers: int) -> float:
    """CPU time per message, settled and received again, with so many queues."""
    full = FullLeases(queues)
    await full.begin()
    before, started = full.answers, time.process_time()
    await full.settle(answers)
    elapsed = time.process_time() - started
    messages = (full.answers - before) * MESSAGES_PER_POLL
    await full.end()
    return elapsed / messages * 1e6


def main() -> int:
    """Measure, print a table, and check the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--answers", type=int, default=2000, help="polls answered per round")
    options = parser.parse_args()
    best = dict.fromkeys(QUEUES, float("inf"))
    for _ in range(options.rounds):
        for queues in QUEUES:
            best[queues] = min(best[queues], asyncio.run(cpu_microseconds(queues, options.answers)))
    for queues, cost in best.items():
        print(f"{queues:4} queues {cost:7.2f} µs of CPU per message")
    ratio = best[QUEUES[-1]] / best[QUEUES[0]]
    print(f"ratio {ratio:.2f}, at most {RATIO_AT_MOST:g}")
    return int(ratio > RATIO_AT_MOST)


if __name__ == "__main__":
    sys.exit(main())
