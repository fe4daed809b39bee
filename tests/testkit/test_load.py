"""The load generator against the real SQS emulator: paced, complete and recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit.local_stack import read_samples, running_load
from testkit.sqs import local_queue_server
from testkit.sqs.raw_client import RawClient
from testkit.workload.load import LoadPlan, Phase, due_messages, read_profile, send_together
from testkit.workload.send_log import SendLog

PLAN = LoadPlan(profile=(Phase(2_000, 0.1), Phase(5_000, 0.1)))


@pytest.fixture(scope="module")
def client() -> Iterator[RawClient]:
    """A client of a running SQS emulator."""
    with local_queue_server() as server, RawClient(server.endpoint_url) as client:
        yield client


def messages_in(client: RawClient, queue_url: str) -> int:
    """How many messages are visible in a queue."""
    answer = client.call("GetQueueAttributes", QueueUrl=queue_url, AttributeNames=["All"])
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


def test_everything_is_sent_and_recorded(client: RawClient, tmp_path: Path) -> None:
    """The send log has the plan's messages, and the queue has as many."""
    queue_url = client.call("CreateQueue", QueueName="load")["QueueUrl"]
    record = SendLog(tmp_path / "sent.jsonl")
    with running_load(queue_url, PLAN, tmp_path / "sent.jsonl") as load:
        load.wait_until(lambda: None if load.is_running else True, 30)
        assert load.stop() == 0
    planned = PLAN.messages()
    assert record.catch_up() == len(planned) == messages_in(client, queue_url)
    assert len({message.message_id for message in record.messages}) == len(planned)
    assert sum(message.is_undecodable for message in record.messages) == 3
    histories = [emission for bucket in PLAN.buckets() for emission in bucket.history]
    recorded = {(message.key, message.sequencer) for message in record.messages if message.bucket}
    assert recorded == {(emission.key, emission.sequencer[2:].rstrip("0")) for emission in histories}


def test_a_send_log_is_read_while_it_is_written(tmp_path: Path) -> None:
    """An incomplete last line is read when it is complete."""
    path = tmp_path / "sent.jsonl"
    record = SendLog(path)
    assert record.catch_up() == 0
    path.write_bytes(b'{"message_id":"a","sent_at":1.0}\n{"message_id":"b",')
    assert record.catch_up() == 1
    with path.open("ab") as file:
        file.write(b'"sent_at":2.0}\n')
    assert record.catch_up() == 2
    assert [message.message_id for message in record.messages] == ["a", "b"]


def test_failed_entries_are_retried() -> None:
    """The failed entries of a batch are sent again."""
    client = FailingClient()
    sent = send_together(client, "url", PLAN.messages()[:4])  # type: ignore[arg-type]  # two methods are enough
    assert [message.message_id for message in sent] == ["m0", "m2", "m1", "m3"]
    assert client.calls == [["0", "1", "2", "3"], ["1", "3"]]


class FailingClient:
    """A queue client whose first call fails every second entry."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def call(self, operation: str, **parameters: list[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
        """Accept every second entry in the first call, and all entries later."""
        ids = [entry["Id"] for entry in parameters["Entries"]]
        accepted = ids if self.calls else ids[::2]
        self.calls.append(ids)
        return {"Successful": [{"Id": number, "MessageId": f"m{number}"} for number in accepted]}


@pytest.mark.parametrize(
    ("elapsed_seconds", "due"), [(0, 0), (1, 10), (2, 20), (2.5, 70), (3, 120), (4, 121), (100, 217)]
)
def test_pace(elapsed_seconds: float, due: float) -> None:
    """The rates apply one after the other, and the last one never ends."""
    assert due_messages(read_profile("10x2,100x1,1x5"), elapsed_seconds) == due


def test_samples_of_a_metrics_page() -> None:
    """All series of a metric are summed."""
    page = '# HELP a_total x\n# TYPE a_total counter\na_total{q="1 2"} 3.0\na_total{q="2"} 4\nb 1e-3\n'
    assert read_samples(page) == {"a_total": 7.0, "b": 0.001}
