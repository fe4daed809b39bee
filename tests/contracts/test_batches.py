"""Batches: every entry has its own result; only an invalid batch is an error."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fixtures.queues import FreshQueue, MakeQueue


async def _send(queue: FreshQueue, *entries: tuple[str, str]) -> dict[str, Any]:
    answer: dict[str, Any] = await queue.client.send_message_batch(
        QueueUrl=queue.url, Entries=[{"Id": entry_id, "MessageBody": body} for entry_id, body in entries]
    )
    return answer


async def test_a_batch_sends_and_deletes_in_tens(make_queue: MakeQueue) -> None:
    """Ten messages are sent, received and deleted together, each with a result by its id."""
    queue = await make_queue()
    answer = await _send(queue, *((f"id_{index}-x", str(index)) for index in range(10)))
    assert "Failed" not in answer
    assert [entry["Id"] for entry in answer["Successful"]] == [f"id_{index}-x" for index in range(10)]
    messages = await queue.receive(10)
    assert {message["MessageId"] for message in messages} == {entry["MessageId"] for entry in answer["Successful"]}
    entries = [{"Id": str(i), "ReceiptHandle": message["ReceiptHandle"]} for i, message in enumerate(messages)]
    deleted = await queue.client.delete_message_batch(QueueUrl=queue.url, Entries=entries)
    assert [entry["Id"] for entry in deleted["Successful"]] == [str(index) for index in range(10)]
    assert await queue.counts() == (0, 0, 0)


async def test_a_bad_entry_fails_alone(make_queue: MakeQueue) -> None:
    """The call succeeds: the good entries are done, the bad one has a code and SenderFault."""
    queue = await make_queue(MaximumMessageSize="1024")
    answer = await _send(queue, ("good", "a"), ("character", "\x00"), ("long", "x" * 1_025))
    assert [entry["Id"] for entry in answer["Successful"]] == ["good"]
    failed = {entry["Id"]: entry for entry in answer["Failed"]}
    assert set(failed) == {"character", "long"}
    assert failed["character"]["Code"] == "InvalidMessageContents"
    assert all(isinstance(entry["SenderFault"], bool) and entry["Message"] for entry in failed.values())
    assert (await queue.counts())[0] == 1


async def test_a_failed_entry_has_the_code_of_the_query_protocol(make_queue: MakeQueue) -> None:
    """A body that is too long fails with InvalidParameterValue and SenderFault."""
    queue = await make_queue(MaximumMessageSize="1024")
    (failed,) = (await _send(queue, ("long", "x" * 1_025)))["Failed"]
    assert (failed["Code"], failed["SenderFault"]) == ("InvalidParameterValue", True)


async def test_bad_handles_fail_by_entry(make_queue: MakeQueue) -> None:
    """In a batch that deletes or changes visibility, only the invalid handle fails."""
    queue = await make_queue()
    await queue.send("a")
    (message,) = await queue.receive()
    entries = [
        {"Id": "bad", "ReceiptHandle": "made-up"},
        {"Id": "good", "ReceiptHandle": message["ReceiptHandle"]},
    ]
    changed = await queue.client.change_message_visibility_batch(
        QueueUrl=queue.url, Entries=[{**entry, "VisibilityTimeout": 60} for entry in entries]
    )
    deleted = await queue.client.delete_message_batch(QueueUrl=queue.url, Entries=entries)
    for answer in (changed, deleted):
        assert [entry["Id"] for entry in answer["Successful"]] == ["good"]
        assert [(entry["Id"], entry["Code"]) for entry in answer["Failed"]] == [("bad", "ReceiptHandleIsInvalid")]


async def test_a_batch_releases_messages_at_once(make_queue: MakeQueue) -> None:
    """Visibility zero in a batch makes all its messages visible."""
    queue = await make_queue()
    await queue.send(*map(str, range(10)))
    messages = await queue.receive(10)
    await queue.client.change_message_visibility_batch(
        QueueUrl=queue.url,
        Entries=[
            {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
            for index, message in enumerate(messages)
        ],
    )
    assert await queue.counts() == (10, 0, 0)


@pytest.mark.parametrize(
    ("entries", "error"),
    [
        pytest.param([], "EmptyBatchRequest", id="empty"),
        pytest.param([(str(i), "a") for i in range(11)], "TooManyEntriesInBatchRequest", id="eleven"),
        pytest.param([("a", "a"), ("a", "b")], "BatchEntryIdsNotDistinct", id="twice"),
        pytest.param([("a b", "a")], "InvalidBatchEntryId", id="blank"),
        pytest.param([("x" * 81, "a")], "InvalidBatchEntryId", id="long-id"),
        pytest.param(
            [(i, "x" * 600_000) for i in "ab"],
            "BatchRequestTooLong",
            id="long-bodies",
            # aiohttp recommends a stream for a body of this size; botocore does not use one.
            marks=pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning"),
        ),
    ],
)
async def test_an_invalid_batch_has_no_effect(
    make_queue: MakeQueue, entries: list[tuple[str, str]], error: str
) -> None:
    """An invalid batch is rejected with both error codes, and nothing is sent."""
    queue = await make_queue()
    with pytest.raises(ClientError) as caught:
        await _send(queue, *entries)
    fault = caught.value.response["Error"]
    assert fault["QueryErrorCode"] == error
    assert fault["Code"] == f"AWS.SimpleQueueService.{error}"
    assert await queue.counts() == (0, 0, 0)


async def test_an_entry_id_is_plain_ascii(make_queue: MakeQueue) -> None:
    """Non-ASCII letters are not allowed in an id."""
    queue = await make_queue()
    with pytest.raises(queue.client.exceptions.InvalidBatchEntryId):
        await _send(queue, ("é", "a"))
