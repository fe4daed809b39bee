"""The queue server fails when it is asked to, in the words of the real service, and never otherwise."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from testkit.sqs import QueueServer, local_queue_server
from testkit.sqs.raw_client import QueueFault, RawClient

ALWAYS = 1.0
GUEST = {"guest": "secret"}


class Faulty:
    """A queue with three messages; the host sets faults, the guest meets them."""

    def __init__(self, host: RawClient, guest: RawClient, url: str) -> None:
        self.host = host
        self.guest = guest
        self.url = url

    def go_wrong(self, **fields: Any) -> None:
        """Let this hold from now on."""
        self.host.call_lab("SetFaults", **{"AcceptedKeys": GUEST, **fields})

    def receive(self, **fields: Any) -> list[dict[str, Any]]:
        """The guest asks for ten."""
        answer = self.guest.call("ReceiveMessage", QueueUrl=self.url, MaxNumberOfMessages=10, **fields)
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    def delete(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """The guest deletes these."""
        entries = [
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]} for number, message in enumerate(messages)
        ]
        answer: dict[str, Any] = self.guest.call("DeleteMessageBatch", QueueUrl=self.url, Entries=entries)
        return answer

    def in_flight(self) -> int:
        """What the host sees."""
        names = ["ApproximateNumberOfMessagesNotVisible"]
        answer = self.host.call("GetQueueAttributes", QueueUrl=self.url, AttributeNames=names)
        return int(answer["Attributes"][names[0]])


@pytest.fixture(scope="module")
def attentive_server() -> Iterator[QueueServer]:
    """A server that remembers what it saw."""
    with local_queue_server(keeps_history=True) as server:
        yield server


@pytest.fixture
def faulty(attentive_server: QueueServer, request: pytest.FixtureRequest) -> Iterator[Faulty]:
    """A fresh queue, and no fault before and after."""
    url = attentive_server.endpoint_url
    with RawClient(url) as host, RawClient(url, "guest", "secret") as guest:
        name = f"q{abs(hash(request.node.name))}"
        queue: str = host.call("CreateQueue", QueueName=name)["QueueUrl"]
        host.call_lab("SetFaults", AcceptedKeys=GUEST)
        for body in "abc":
            host.call("SendMessage", QueueUrl=queue, MessageBody=body)
        yield Faulty(host, guest, queue)
        host.call_lab("SetFaults")
        host.call("DeleteQueue", QueueUrl=queue)


def test_nothing_goes_wrong_unasked(faulty: Faulty) -> None:
    """An empty plan is an honest queue, for guests too."""
    assert len(faulty.delete(faulty.receive())["Successful"]) == 3
    assert faulty.in_flight() == 0


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [("internal", "InternalFailure"), ("throttled", "RequestThrottled"), ("unavailable", "ServiceUnavailable")],
)
def test_a_refused_call_has_no_effect(faulty: Faulty, refusal: str, kind: str) -> None:
    """The guest is refused and nothing is in flight; the host goes on."""
    faulty.go_wrong(RefusedShare=ALWAYS, Refusal=refusal)
    with pytest.raises(QueueFault, match=kind):
        faulty.receive()
    assert faulty.in_flight() == 0


def test_an_unknown_refusal_is_refused(faulty: Faulty) -> None:
    """A plan that means nothing is not taken."""
    with pytest.raises(QueueFault, match="InvalidParameterValue"):
        faulty.go_wrong(Refusal="sulking")


def test_a_lost_answer_had_its_effect(faulty: Faulty) -> None:
    """The line goes dead, and the messages are in flight."""
    faulty.go_wrong(LostAnswerShare=ALWAYS)
    with pytest.raises(ConnectionError):
        faulty.receive()
    assert faulty.in_flight() == 3


def test_failed_entries_are_a_fault_of_the_service(faulty: Faulty) -> None:
    """The call is answered with 200; every entry has failed, by nobody's fault but the service's."""
    messages = faulty.receive()
    faulty.go_wrong(FailedEntryShare=ALWAYS)
    failed = faulty.delete(messages)["Failed"]
    assert [(entry["Code"], entry["SenderFault"]) for entry in failed] == [("InternalError", False)] * 3
    assert faulty.in_flight() == 3


def test_a_forgotten_delete_looks_done(faulty: Faulty) -> None:
    """Success is reported, and the messages are still there."""
    messages = faulty.receive()
    faulty.go_wrong(ForgottenDeleteShare=ALWAYS)
    assert len(faulty.delete(messages)["Successful"]) == 3
    assert faulty.in_flight() == 3


def test_duplicates_come_at_once(faulty: Faulty) -> None:
    """What was handed out is handed out again, under another handle."""
    faulty.go_wrong(DuplicateShare=ALWAYS)
    first, second = faulty.receive(), faulty.receive()
    assert {message["MessageId"] for message in first} == {message["MessageId"] for message in second}
    assert not {message["ReceiptHandle"] for message in first} & {message["ReceiptHandle"] for message in second}


def test_postponed_messages_come_later_and_count_no_receive(faulty: Faulty) -> None:
    """Nobody is told of them now; when they come it is their first time."""
    faulty.go_wrong(PostponedShare=ALWAYS)
    assert faulty.receive() == []
    faulty.go_wrong()
    late: list[dict[str, Any]] = []
    while len(late) < 3:
        late += faulty.receive(WaitTimeSeconds=5, MessageSystemAttributeNames=["All"])
    assert [message["Attributes"]["ApproximateReceiveCount"] for message in late] == ["1"] * 3


def test_visibility_is_shorter_than_asked(faulty: Faulty) -> None:
    """Asked for a minute, given none."""
    faulty.go_wrong(VisibilitySecondsAtMost=0)
    assert len(faulty.receive(VisibilityTimeout=60)) == 3
    assert faulty.in_flight() == 0


def test_the_wall_in_flight_is_silent(faulty: Faulty) -> None:
    """A long poll at the wall comes back empty and says nothing; the wall falls with the plan."""
    faulty.go_wrong(InFlightLimit=2)
    assert [len(faulty.receive(WaitTimeSeconds=1)) for _ in range(2)] == [2, 0]
    faulty.go_wrong()
    assert len(faulty.receive()) == 1


def test_an_expired_key_is_told_so_and_a_renewed_one_is_good(faulty: Faulty) -> None:
    """Who comes with the old key learns that it has expired."""
    faulty.go_wrong(AcceptedKeys={})
    with pytest.raises(QueueFault, match="ExpiredTokenException"):
        faulty.receive()
    faulty.go_wrong()
    assert len(faulty.receive()) == 3


def test_a_clock_that_is_off_refuses_guests_only(faulty: Faulty) -> None:
    """A signature of now is not one of the service's now."""
    faulty.go_wrong(ClockOffsetSeconds=3600)
    with pytest.raises(QueueFault, match="InvalidSignatureException"):
        faulty.receive()
    assert faulty.in_flight() == 0


def test_time_can_be_over(faulty: Faulty) -> None:
    """Every visibility timeout ends when the host says so."""
    assert len(faulty.receive(VisibilityTimeout=60)) == 3
    faulty.host.call_lab("ExpireVisibility", QueueUrl=faulty.url)
    assert len(faulty.receive()) == 3


def test_the_witness_tells_every_receive_and_the_delete(faulty: Faulty) -> None:
    """Two receives of all, one delete: the moments lie in order, and what is left is named."""
    began = time.time()
    faulty.receive(VisibilityTimeout=0)
    messages = faulty.receive(VisibilityTimeout=60)
    faulty.delete(messages[:1])
    answer = faulty.host.call_lab("TakeHistory", QueueUrl=faulty.url)
    lines = {line[0]: line for line in answer["Lines"]}
    _, _, received_at, deleted_at = lines[messages[0]["MessageId"]]
    moments = [began, *received_at, deleted_at, time.time()]
    assert sorted(line[1] for line in lines.values()) == [1, 2, 3]
    assert (len(moments), moments) == (5, sorted(moments))
    assert [len(line[2]) for line in lines.values()] == [2, 2, 2]
    assert set(answer["Queued"]) == lines.keys() - {messages[0]["MessageId"]}
    assert faulty.host.call_lab("TakeHistory", QueueUrl=faulty.url).get("Lines") is None


def test_a_usual_server_remembers_nothing(queue_server: QueueServer) -> None:
    """Without being asked to, it keeps no line of anything."""
    with RawClient(queue_server.endpoint_url) as client:
        url = client.call("CreateQueue", QueueName="forgetful")["QueueUrl"]
        client.call("SendMessage", QueueUrl=url, MessageBody="a")
        client.call("ReceiveMessage", QueueUrl=url)
        answer = msgspec.json.encode(client.call_lab("TakeHistory", QueueUrl=url))
        client.call("DeleteQueue", QueueUrl=url)
    assert b"Lines" not in answer
