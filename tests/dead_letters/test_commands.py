"""Dead letters are looked at and moved, on our emulator and on LocalStack alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

import pytest

from subscriber.adapters.sqs.client import Sqs
from subscriber.adapters.sqs.dead_letters import DeadLetterCalls
from subscriber.adapters.sqs.options import SqsOptions
from subscriber.dead_letters import commands
from subscriber.dead_letters.commands import MoveTally, Redrive
from subscriber.dead_letters.plan import DeadLetterQueue, meaning
from subscriber.errors import QueueCallError
from tests.dead_letters.letters import let_die
from tests.fixtures.queues import ACCESS_KEY, REGION, SECRET_KEY, FreshQueue, MakeQueue

OpenDead: TypeAlias = Callable[[FreshQueue], AbstractAsyncContextManager[tuple[Sqs, DeadLetterQueue]]]
GOOD = '{"Service": "Amazon S3", "Event": "s3:TestEvent"}'


@pytest.fixture
def opened(sqs_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> OpenDead:
    """Opens our client with one queue, and finds its dead-letter queue."""

    @asynccontextmanager
    async def open_queue(queue: FreshQueue) -> AsyncIterator[tuple[Sqs, DeadLetterQueue]]:
        for name, value in {
            "AWS_ENDPOINT_URL_SQS": sqs_endpoint,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }.items():
            monkeypatch.setenv(name, value)
        options = SqsOptions((queue.url,), 0, 0, 1, 1)
        async with Sqs(options) as queues:
            (found,) = await commands.dead_letter_queues(queues, (queue.url,))
            yield queues, found

    return open_queue


def _nothing(_moved: int, _total: int) -> None:
    """No progress is shown."""


async def test_a_look_leaves_every_message(make_queue: MakeQueue, opened: OpenDead) -> None:
    """Each letter is seen once, with its reason and source, and is visible again at once."""
    queue = await make_queue(max_receive_count=1)
    dead = await let_die(queue, "not JSON", GOOD)
    async with opened(queue) as (queues, found):
        letters = [letter async for letter in commands.look(queues, found, 10)]
    assert sorted((meaning(letter)[0], letter.source_arn) for letter in letters) == [
        ("not_json", queue.arn),
        ("readable", queue.arn),
    ]
    assert await dead.counts() == (2, 0, 0)


async def test_a_move_by_reason_leaves_the_others(make_queue: MakeQueue, opened: OpenDead) -> None:
    """Only letters with the reason go back to their queue; the others are visible again at once."""
    queue = await make_queue(max_receive_count=1)
    dead = await let_die(queue, "not JSON", GOOD)
    tally = MoveTally()
    async with opened(queue) as (queues, found):
        await commands.move(queues, found, Redrive(10, 500, frozenset({"readable"})), tally, _nothing)
    assert tally == MoveTally(seen=2, moved=1, not_chosen=1)
    assert [message["Body"] for message in await queue.receive(wait_seconds=2)] == [GOOD]
    assert await dead.counts() == (1, 0, 0)


async def test_the_limit_ends_a_move(make_queue: MakeQueue, opened: OpenDead) -> None:
    """So what comes back meanwhile is not moved in circles."""
    queue = await make_queue(max_receive_count=1)
    dead = await let_die(queue, *(str(number) for number in range(12)))
    tally = MoveTally()
    async with opened(queue) as (queues, found):
        await commands.move(queues, found, Redrive(11, 500), tally, _nothing)
    assert tally == MoveTally(seen=11, moved=11)
    assert (await dead.counts())[0] == 1


async def test_a_failed_delete_loses_nothing(
    make_queue: MakeQueue, opened: OpenDead, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between send and delete a move may end: the message is in both queues, and visible in each."""

    async def fail(*_: object) -> int:
        raise QueueCallError("Timeout", "no answer")

    monkeypatch.setattr(DeadLetterCalls, "delete", fail)
    queue = await make_queue(max_receive_count=1)
    dead = await let_die(queue, GOOD)
    async with opened(queue) as (queues, found):
        with pytest.raises(QueueCallError):
            await commands.move(queues, found, Redrive(10, 500), MoveTally(), _nothing)
    assert await dead.counts() == (1, 0, 0)
    assert (await queue.counts())[0] == 1


async def test_sqs_moves_all(make_queue: MakeQueue, opened: OpenDead) -> None:
    """A move by SQS returns its completed task."""
    queue = await make_queue(max_receive_count=1)
    await let_die(queue, "a", "b")
    async with opened(queue) as (queues, found):
        task = await commands.move_by_sqs(queues, found, 500, _nothing)
    assert task is not None
    assert (task.status, task.moved_messages) == ("COMPLETED", 2)
    assert (await queue.counts())[0] == 2
