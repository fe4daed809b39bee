"""Decoding the responses of receive calls and of batch calls."""

from __future__ import annotations

import pytest

from subscriber.adapters.sqs.wire import batch_answer, messages_in
from subscriber.errors import QueueCallError
from subscriber.model import BatchAnswer
from tests.fakes.samples import lease


def test_each_entry_is_done_or_failed() -> None:
    """By its position in the call; an entry that the response does not name is neither."""
    answer = b'{"Successful":[{"Id":"0"},{"Id":"2"}],"Failed":[{"Id":"1","Code":"InternalError","SenderFault":false}]}'
    assert batch_answer(answer, 4) == BatchAnswer(done=(0, 2), failed=((1, "InternalError"),))


def test_a_message_was_sent_by_our_clock() -> None:
    """SQS's own clock is 300 seconds behind ours: a message of this moment is not five minutes old."""
    answer = (
        b'{"Messages":[{"MessageId":"m","ReceiptHandle":"r","Body":"b",'
        b'"Attributes":{"SentTimestamp":"1000000","ApproximateReceiveCount":"1"}}]}'
    )
    assert [one.sent_at for one in messages_in(answer, lease(), 1300.0, -300.0)] == [1300.0]
    assert [one.sent_at for one in messages_in(answer, lease(), 1300.0)] == [1000.0]


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (b'{"Successful":[{"Id":"2"}]}', "it names entry 2, but 2 were sent"),
        (b'{"Failed":[{"Id":"-1","Code":"InternalError"}]}', "it names entry -1, but 2 were sent"),
        (b'{"Successful":[{"Id":"one"}]}', "invalid literal"),
        (b"<html>", "invalid character"),
    ],
)
def test_a_malformed_batch_response_is_an_error(answer: bytes, detail: str) -> None:
    """It must neither settle another message nor end the calling task."""
    with pytest.raises(QueueCallError, match=detail) as failure:
        batch_answer(answer, 2)
    assert failure.value.code == "UnreadableAnswer"
