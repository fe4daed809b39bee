"""Injected faults fail as in the real service, and nothing fails without a fault plan."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from testkit.sqs import QueueServer, local_queue_server
from testkit.sqs.audit_log import AuditLog
from testkit.sqs.message import StoredMessage
from testkit.sqs.raw_client import QueueFault, RawClient

ALWAYS = 1.0
TEST_KEY = {"test": "secret"}


class Faulty:
    """A queue with three messages; `admin` injects faults, which affect only `client`."""

    def __init__(self, admin: RawClient, client: RawClient, url: str) -> None:
        self.admin = admin
        self.client = client
        self.url = url

    def inject(self, **fields: Any) -> None:
        """Replace the active faults."""
        self.admin.call_admin("SetFaults", **{"AcceptedKeys": TEST_KEY, **fields})

    def receive(self, **fields: Any) -> list[dict[str, Any]]:
        """The client receives up to ten messages."""
        answer = self.client.call("ReceiveMessage", QueueUrl=self.url, MaxNumberOfMessages=10, **fields)
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    def delete(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """The client deletes these messages in one batch."""
        entries = [
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]} for number, message in enumerate(messages)
        ]
        answer: dict[str, Any] = self.client.call("DeleteMessageBatch", QueueUrl=self.url, Entries=entries)
        return answer

    def in_flight(self) -> int:
        """The number of messages in flight, as `admin` sees it."""
        names = ["ApproximateNumberOfMessagesNotVisible"]
        answer = self.admin.call("GetQueueAttributes", QueueUrl=self.url, AttributeNames=names)
        return int(answer["Attributes"][names[0]])


@pytest.fixture(scope="module")
def recording_server() -> Iterator[QueueServer]:
    """A server with an audit log."""
    with local_queue_server(keeps_audit_log=True) as server:
        yield server


@pytest.fixture
def faulty(recording_server: QueueServer, request: pytest.FixtureRequest) -> Iterator[Faulty]:
    """A new queue, without faults before and after the test."""
    url = recording_server.endpoint_url
    with RawClient(url) as admin, RawClient(url, "test", "secret") as client:
        name = f"q{abs(hash(request.node.name))}"
        queue: str = admin.call("CreateQueue", QueueName=name)["QueueUrl"]
        admin.call_admin("SetFaults", AcceptedKeys=TEST_KEY)
        for body in "abc":
            admin.call("SendMessage", QueueUrl=queue, MessageBody=body)
        yield Faulty(admin, client, queue)
        admin.call_admin("SetFaults")
        admin.call("DeleteQueue", QueueUrl=queue)


def test_nothing_fails_without_a_fault(faulty: Faulty) -> None:
    """With an empty plan the queue works for the client too."""
    assert len(faulty.delete(faulty.receive())["Successful"]) == 3
    assert faulty.in_flight() == 0


@pytest.mark.parametrize(
    ("failure", "kind"),
    [("internal", "InternalFailure"), ("throttled", "RequestThrottled"), ("unavailable", "ServiceUnavailable")],
)
def test_a_failed_call_has_no_effect(faulty: Faulty, failure: str, kind: str) -> None:
    """The client's call fails and nothing is in flight; `admin` is not affected."""
    faulty.inject(FailedCallShare=ALWAYS, Failure=failure)
    with pytest.raises(QueueFault, match=kind):
        faulty.receive()
    assert faulty.in_flight() == 0


def test_an_unknown_kind_of_failure_is_rejected(faulty: Faulty) -> None:
    """An invalid plan is not activated."""
    with pytest.raises(QueueFault, match="InvalidParameterValue"):
        faulty.inject(Failure="unknown")


def test_a_lost_answer_had_its_effect(faulty: Faulty) -> None:
    """The connection is dropped, and the messages are in flight."""
    faulty.inject(LostAnswerShare=ALWAYS)
    with pytest.raises(ConnectionError):
        faulty.receive()
    assert faulty.in_flight() == 3


def test_failed_entries_are_a_fault_of_the_service(faulty: Faulty) -> None:
    """The call is answered with 200; every entry has failed, not by the sender's fault."""
    messages = faulty.receive()
    faulty.inject(FailedEntryShare=ALWAYS)
    failed = faulty.delete(messages)["Failed"]
    assert [(entry["Code"], entry["SenderFault"]) for entry in failed] == [("InternalError", False)] * 3
    assert faulty.in_flight() == 3


def test_a_forgotten_delete_looks_done(faulty: Faulty) -> None:
    """Success is reported, and the messages are still there."""
    messages = faulty.receive()
    faulty.inject(ForgottenDeleteShare=ALWAYS)
    assert len(faulty.delete(messages)["Successful"]) == 3
    assert faulty.in_flight() == 3


def test_duplicates_come_at_once(faulty: Faulty) -> None:
    """The received messages are received again, with another handle."""
    faulty.inject(DuplicateShare=ALWAYS)
    first, second = faulty.receive(), faulty.receive()
    assert {message["MessageId"] for message in first} == {message["MessageId"] for message in second}
    assert not {message["ReceiptHandle"] for message in first} & {message["ReceiptHandle"] for message in second}


def test_postponed_messages_come_later_and_count_no_receive(faulty: Faulty) -> None:
    """The receive is empty; when the messages are delivered, their receive count is 1."""
    faulty.inject(PostponedShare=ALWAYS)
    assert faulty.receive() == []
    faulty.inject()
    late: list[dict[str, Any]] = []
    while len(late) < 3:
        late += faulty.receive(WaitTimeSeconds=5, MessageSystemAttributeNames=["All"])
    assert [message["Attributes"]["ApproximateReceiveCount"] for message in late] == ["1"] * 3


def test_visibility_is_shorter_than_requested(faulty: Faulty) -> None:
    """The request asks for a minute and gets zero seconds."""
    faulty.inject(VisibilitySecondsAtMost=0)
    assert len(faulty.receive(VisibilityTimeout=60)) == 3
    assert faulty.in_flight() == 0


def test_a_long_poll_at_the_in_flight_limit_is_empty(faulty: Faulty) -> None:
    """A long poll at the limit returns no message and no error; the limit ends with the plan."""
    faulty.inject(InFlightLimit=2)
    assert [len(faulty.receive(WaitTimeSeconds=1)) for _ in range(2)] == [2, 0]
    faulty.inject()
    assert len(faulty.receive()) == 1


def test_an_expired_key_is_rejected_and_a_renewed_one_accepted(faulty: Faulty) -> None:
    """A call with the old key gets ExpiredToken."""
    faulty.inject(AcceptedKeys={})
    with pytest.raises(QueueFault, match="ExpiredTokenException"):
        faulty.receive()
    faulty.inject()
    assert len(faulty.receive()) == 3


def test_a_skewed_service_clock_affects_the_client_only(faulty: Faulty) -> None:
    """A signature with the current time is invalid by the service's clock."""
    faulty.inject(ClockOffsetSeconds=3600)
    with pytest.raises(QueueFault, match="InvalidSignatureException"):
        faulty.receive()
    assert faulty.in_flight() == 0


def test_visibility_timeouts_can_be_expired(faulty: Faulty) -> None:
    """ExpireVisibility ends every visibility timeout."""
    assert len(faulty.receive(VisibilityTimeout=60)) == 3
    faulty.admin.call_admin("ExpireVisibility", QueueUrl=faulty.url)
    assert len(faulty.receive()) == 3


def test_the_audit_log_has_every_receive_and_the_delete(faulty: Faulty) -> None:
    """Two receives of all messages and one delete: the times are in order, and the remaining messages are listed."""
    began = time.time()
    faulty.receive(VisibilityTimeout=0)
    messages = faulty.receive(VisibilityTimeout=60)
    faulty.delete(messages[:1])
    answer = faulty.admin.call_admin("TakeAuditLog", QueueUrl=faulty.url)
    lines = {line[0]: line for line in answer["Lines"]}
    _, _, received_at, deleted_at = lines[messages[0]["MessageId"]]
    moments = [began, *received_at, deleted_at, time.time()]
    assert sorted(line[1] for line in lines.values()) == [1, 2, 3]
    assert (len(moments), moments) == (5, sorted(moments))
    assert [len(line[2]) for line in lines.values()] == [2, 2, 2]
    assert set(answer["Queued"]) == lines.keys() - {messages[0]["MessageId"]}
    assert faulty.admin.call_admin("TakeAuditLog", QueueUrl=faulty.url).get("Lines") is None


def test_the_times_of_the_audit_log_are_those_of_the_wall_clock() -> None:
    """A machine's clock that is set takes the log along, as it takes the commit times of PostgreSQL along."""
    times = iter([100.0, 101.5])
    log = AuditLog(clock=lambda: next(times))
    message = StoredMessage(1, "id", "body", body_md5="", sent_at="0")
    log.received("queue", [message])
    log.deleted("queue", "id", 100.2)
    assert log.take("queue") == [("id", 1, [100.0], 101.5)]


def test_a_server_without_an_audit_log_records_nothing(queue_server: QueueServer) -> None:
    """The audit log is empty unless the server is started with one."""
    with RawClient(queue_server.endpoint_url) as client:
        url = client.call("CreateQueue", QueueName="unrecorded")["QueueUrl"]
        client.call("SendMessage", QueueUrl=url, MessageBody="a")
        client.call("ReceiveMessage", QueueUrl=url)
        answer = msgspec.json.encode(client.call_admin("TakeAuditLog", QueueUrl=url))
        client.call("DeleteQueue", QueueUrl=url)
    assert b"Lines" not in answer
