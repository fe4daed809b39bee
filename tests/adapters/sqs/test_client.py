"""The SQS client against real servers: receive, delete, visibility, release and errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from subscriber.adapters.sqs.client import Sqs
from subscriber.adapters.sqs.options import SqsOptions
from subscriber.adapters.sqs.wire import receive_body
from subscriber.errors import QueueCallError
from subscriber.model import BatchAnswer, Lease
from tests.fixtures.queues import FreshQueue, MakeQueue


@pytest.fixture
async def queue(make_queue: MakeQueue) -> FreshQueue:
    """A fresh queue, on each kind of server in turn."""
    return await make_queue()


@pytest.fixture
async def client(queue: FreshQueue, sqs_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sqs]:
    """An open client for that queue."""
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


async def test_a_received_message_is_complete(client: Sqs, queue: FreshQueue) -> None:
    """Body, ids, send time and receive count, with the lease of its poll."""
    await queue.send("hello\nwörld 🪣")
    lease = lease_of(queue)
    (message,) = await client.receive(lease)
    assert message.body == "hello\nwörld 🪣"
    assert message.queue == queue.url
    assert message.receive_count == 1
    assert 1_700_000_000 < message.sent_at < 4_000_000_000
    assert message.lease is lease


async def test_an_empty_queue_returns_no_messages(client: Sqs, queue: FreshQueue) -> None:
    """An empty list after the wait."""
    assert await client.receive(lease_of(queue)) == []


async def test_deleting_reports_each_entry(client: Sqs, queue: FreshQueue) -> None:
    """A valid handle is deleted; an invalid one fails without affecting the other."""
    await queue.send("a")
    (message,) = await client.receive(lease_of(queue))
    answer = await client.delete(queue.url, [message.receipt_handle, "no handle at all"])
    assert answer.done == (0,)
    assert [position for position, _ in answer.failed] == [1]
    assert await queue.counts() == (0, 0, 0)


async def test_visibility_is_set_per_message(client: Sqs, queue: FreshQueue) -> None:
    """Each entry has its own visibility timeout; zero makes a message visible at once."""
    await queue.send("a", "b")
    messages = [message for _ in range(2) for message in await client.receive(lease_of(queue))]
    assert len(messages) == 2
    delayed, released = messages
    assert await client.change_visibility(queue.url, [(delayed.receipt_handle, 600)]) == BatchAnswer(done=(0,))
    assert await client.release(queue.url, [released.receipt_handle]) == BatchAnswer(done=(0,))
    (again,) = await client.receive(lease_of(queue))
    assert again.body == released.body
    assert again.receive_count == 2


async def test_any_number_of_messages_is_released(client: Sqs, queue: FreshQueue) -> None:
    """More than the ten of one call."""
    await queue.send(*(str(number) for number in range(23)))
    handles: list[str] = []
    while len(handles) < 23:
        handles += [message.receipt_handle for message in await client.receive(lease_of(queue))]
    answer = await client.release(queue.url, handles)
    assert (sorted(answer.done), answer.failed) == (list(range(23)), ())
    assert await queue.counts() == (23, 0, 0)


async def test_a_waiting_poll_does_not_delay_a_delete(client: Sqs, queue: FreshQueue) -> None:
    """Polls and deletes have separate connections: the delete finishes while all polls are open."""
    await queue.send("a")
    (message,) = await client.receive(lease_of(queue))
    polls = [asyncio.create_task(client.receive(lease_of(queue)), name="poll") for _ in range(3)]
    await asyncio.sleep(0)
    answer = await client.delete(queue.url, [message.receipt_handle])
    assert answer.done == (0,)
    assert not any(poll.done() for poll in polls)
    await asyncio.gather(*polls)


async def test_a_missing_queue_is_a_permanent_error(client: Sqs, queue: FreshQueue) -> None:
    """The code is QueueDoesNotExist, and the error is permanent."""
    nowhere = f"{queue.url}-nowhere"
    client._regions[nowhere] = client._regions[queue.url]
    client._receive_bodies[nowhere] = receive_body(nowhere, 1, 30)
    for call in (client.attributes(nowhere), client.receive(Lease(queue=nowhere, expires_at=0.0, handles=set()))):
        with pytest.raises(QueueCallError) as caught:
            await call
        assert (caught.value.code, caught.value.is_permanent) == ("QueueDoesNotExist", True)


async def test_a_network_failure_is_a_queue_call_error(queue: FreshQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client raises nothing but QueueCallError."""
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


async def test_each_queue_is_called_at_the_host_of_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """By both kinds of client, signed for the URL's region; two queues of one host share their connections."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    vpc, fips, sovereign = (
        ("vpce-0abc-def.sqs.eu-west-1.vpce.amazonaws.com", "eu-west-1"),
        ("sqs-fips.us-east-1.amazonaws.com", "us-east-1"),
        ("sqs.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
    )
    hosts = [("sqs.eu-west-1.amazonaws.com", "eu-west-1"), vpc, vpc, fips, sovereign]
    queues = tuple(f"https://{host}/123456789012/queue-{number}" for number, (host, _) in enumerate(hosts))
    options = SqsOptions(queues=queues, wait_seconds=1, visibility_seconds=30, polls_at_most=1, settle_calls_at_most=1)
    async with Sqs(options) as sqs:
        regions = [sqs._regions[queue] for queue in queues]
        assert [(each.aiobotocore.meta.endpoint_url, each.aiobotocore.meta.region_name) for each in regions] == [
            (f"https://{host}", region) for host, region in hosts
        ]
        for client in ("receive", "settle"):
            signers = [getattr(each, client)._signer for each in regions]
            assert [(signer._host, signer._key._region) for signer in signers] == hosts
        assert len({id(each) for each in regions}) == 4
