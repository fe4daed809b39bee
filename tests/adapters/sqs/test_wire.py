"""What the queue answers to a batch, as far as it can be believed."""

from __future__ import annotations

import pytest

from subscriber.adapters.sqs.wire import batch_answer
from subscriber.errors import QueueCallError
from subscriber.model import BatchAnswer


def test_each_entry_is_done_or_failed() -> None:
    """By its position in the call; one that is not named is neither."""
    answer = b'{"Successful":[{"Id":"0"},{"Id":"2"}],"Failed":[{"Id":"1","Code":"InternalError","SenderFault":false}]}'
    assert batch_answer(answer, 4) == BatchAnswer(done=(0, 2), failed=((1, "InternalError"),))


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (b'{"Successful":[{"Id":"2"}]}', "it speaks of entry 2, and 2 were sent"),
        (b'{"Failed":[{"Id":"-1","Code":"InternalError"}]}', "it speaks of entry -1, and 2 were sent"),
        (b'{"Successful":[{"Id":"one"}]}', "invalid literal"),
        (b"<html>", "invalid character"),
    ],
)
def test_an_answer_about_other_entries_is_none(answer: bytes, detail: str) -> None:
    """It must not settle somebody else's message, nor end the task that asked."""
    with pytest.raises(QueueCallError, match=detail) as failure:
        batch_answer(answer, 2)
    assert failure.value.code == "UnreadableAnswer"
