"""The queues' edge against our queue server: what is received, settled, handed back, and how failures look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from subscriber.adapters.sqs.client import Sqs, SqsOptions
from subscriber.adapters.sqs.wire import receive_body
from subscriber.errors import QueueCallError
from subscriber.model import BatchAnswer, Lease
from tests.fixtures.queues import FreshQueue, MakeQueue


@pytest.fixture
async def queue(make_queue: MakeQueue) -> FreshQueue:
    """A fresh queue, on each kind of server in turn."""
    return await make_queue()


@pytest.fixture
async def edge(queue: FreshQueue, sqs_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sqs]:
    """The edge, open on that queue."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", sqs_endpoint)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    options = SqsOptions(
        queues=(queue.url,), wait_seconds=1, visibility_seconds=30, polls_at_most=2, settle_calls_at_most=2
    )
    async with Sqs(options) as sqs:
        yield sqs


def lease_of(queue: FreshQueue) -> Lease:
    """A lease for one poll."""
    return Lease(queue=queue.url, expires_at=0.0, handles=set())


async def test_a_message_comes_as_the_queue_gave_it(edge: Sqs, queue: FreshQueue) -> None:
    """Body, ids, the time it was sent and how often it was received; under the lease of its poll."""
    await queue.send("hello\nwörld 🪣")
    lease = lease_of(queue)
    (message,) = await edge.receive(lease)
    assert message.body == "hello\nwörld 🪣"
    assert message.queue == queue.url
    assert message.receive_count == 1
    assert 1_700_000_000 < message.sent_at < 4_000_000_000
    assert message.lease is lease


async def test_an_empty_queue_gives_no_messages(edge: Sqs, queue: FreshQueue) -> None:
    """After the wait, an empty list."""
    assert await edge.receive(lease_of(queue)) == []


async def test_deleting_counts_what_the_queue_says(edge: Sqs, queue: FreshQueue) -> None:
    """A valid handle is done; one that never was a handle is not, and does not hide the other's success."""
    await queue.send("a")
    (message,) = await edge.receive(lease_of(queue))
    answer = await edge.delete(queue.url, [message.receipt_handle, "no handle at all"])
    assert answer.done == (0,)
    assert [position for position, _ in answer.failed] == [1]
    assert await queue.counts() == (0, 0, 0)


async def test_hidden_messages_stay_hidden_and_handed_back_ones_return_at_once(edge: Sqs, queue: FreshQueue) -> None:
    """Visibility is changed by entry; zero means now."""
    await queue.send("a", "b")
    messages = [message for _ in range(2) for message in await edge.receive(lease_of(queue))]
    assert len(messages) == 2
    hidden, back = messages
    assert await edge.change_visibility(queue.url, [(hidden.receipt_handle, 600)]) == BatchAnswer(done=(0,))
    assert await edge.release(queue.url, [back.receipt_handle]) == 1
    (again,) = await edge.receive(lease_of(queue))
    assert again.body == back.body
    assert again.receive_count == 2


async def test_any_number_is_handed_back(edge: Sqs, queue: FreshQueue) -> None:
    """More than the ten that one call takes."""
    await queue.send(*(str(number) for number in range(23)))
    handles: list[str] = []
    while len(handles) < 23:
        handles += [message.receipt_handle for message in await edge.receive(lease_of(queue))]
    assert await edge.release(queue.url, handles) == 23
    assert await queue.counts() == (23, 0, 0)


async def test_a_poll_that_waits_does_not_hold_up_a_delete(edge: Sqs, queue: FreshQueue) -> None:
    """Receiving and settling share no connection: all polls are open, and the delete is answered before them."""
    await queue.send("a")
    (message,) = await edge.receive(lease_of(queue))
    polls = [asyncio.create_task(edge.receive(lease_of(queue)), name="poll") for _ in range(3)]
    await asyncio.sleep(0)
    answer = await edge.delete(queue.url, [message.receipt_handle])
    assert answer.done == (0,)
    assert not any(poll.done() for poll in polls)
    await asyncio.gather(*polls)


async def test_a_queue_that_is_gone_has_its_name(edge: Sqs, queue: FreshQueue) -> None:
    """QueueDoesNotExist, and waiting does not help."""
    nowhere = f"{queue.url}-nowhere"
    edge._regions[nowhere] = edge._regions[queue.url]
    edge._receive_bodies[nowhere] = receive_body(nowhere, 1, 30)
    for call in (edge.attributes(nowhere), edge.receive(Lease(queue=nowhere, expires_at=0.0, handles=set()))):
        with pytest.raises(QueueCallError) as caught:
            await call
        assert (caught.value.code, caught.value.is_permanent) == ("QueueDoesNotExist", True)


async def test_a_network_that_is_gone_is_our_own_error(queue: FreshQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but QueueCallError leaves the edge."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    options = SqsOptions(
        queues=(queue.url,), wait_seconds=1, visibility_seconds=30, polls_at_most=1, settle_calls_at_most=1
    )
    async with Sqs(options) as sqs:
        with pytest.raises(QueueCallError) as caught:
            await sqs.receive(lease_of(queue))
    assert not caught.value.is_permanent
