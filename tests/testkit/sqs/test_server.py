"""Behavior of the SQS emulator beyond the contracts that it shares with LocalStack."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import msgspec
import pytest

from testkit.sqs import QueueServer, local_queue_server
from testkit.sqs.protocol import MAX_REQUEST_BYTES
from testkit.sqs.raw_client import QueueFault, RawClient

_names = (f"server-{number}" for number in range(1_000))


@pytest.fixture
def client(queue_server: QueueServer) -> Iterator[RawClient]:
    """A connection to the session's server."""
    with RawClient(queue_server.endpoint_url) as client:
        yield client


def _create(client: RawClient) -> str:
    url: str = client.call("CreateQueue", QueueName=next(_names))["QueueUrl"]
    return url


def _poll(client: RawClient, url: str, seconds: int) -> None:
    client.call("ListQueues", QueueNamePrefix="x")  # the connection is up before the poll is sent
    client.send(client.build("AmazonSQS.ReceiveMessage", {"QueueUrl": url, "WaitTimeSeconds": seconds}))


def _round_trip(client: RawClient) -> None:
    # The server has processed all earlier requests and closed connections when this call returns.
    client.call("ListQueues", QueueNamePrefix="x")


def _bodies(answer: bytes) -> list[str]:
    return [message["Body"] for message in msgspec.json.decode(answer).get("Messages", [])]


def test_the_oldest_poll_is_answered_first(queue_server: QueueServer, client: RawClient) -> None:
    """Messages go to waiting polls in the order in which the polls arrived."""
    url = _create(client)
    with RawClient(queue_server.endpoint_url) as first, RawClient(queue_server.endpoint_url) as second:
        for poller in (first, second):
            _poll(poller, url, 10)
            _round_trip(client)
        for body in ("a", "b"):
            client.call("SendMessage", QueueUrl=url, MessageBody=body)
        assert [_bodies(poller.read()) for poller in (first, second)] == [["a"], ["b"]]


def test_a_poll_of_a_closed_connection_gets_no_message(queue_server: QueueServer, client: RawClient) -> None:
    """A message is not delivered to a closed connection."""
    url = _create(client)
    with RawClient(queue_server.endpoint_url) as gone:
        _poll(gone, url, 10)
        _round_trip(client)
    _round_trip(client)
    client.call("SendMessage", QueueUrl=url, MessageBody="a")
    (message,) = client.call("ReceiveMessage", QueueUrl=url, MessageSystemAttributeNames=["All"])["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


def test_every_answer_has_the_date(queue_server: QueueServer, client: RawClient) -> None:
    """As those of SQS: a client compares its clock with it, and measures the age of messages by one of the two."""
    address = urlsplit(queue_server.endpoint_url)
    with socket.create_connection((address.hostname or "", address.port or 0), 10) as connection:
        before = int(time.time())
        connection.sendall(client.build("AmazonSQS.ListQueues", {"QueueNamePrefix": "x"}))
        head = connection.recv(4096).decode().lower()
    assert head.startswith("http/1.1 200 ")
    date = parsedate_to_datetime(head.partition("\r\ndate: ")[2].partition("\r\n")[0])
    assert before <= date.timestamp() <= time.time()


def test_dead_letters_wake_a_poll_of_their_queue(queue_server: QueueServer, client: RawClient) -> None:
    """A poll of the dead-letter queue is answered when a receive from its source queue moves a message."""
    dead_url = _create(client)
    arn = client.call("GetQueueAttributes", QueueUrl=dead_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = msgspec.json.encode({"deadLetterTargetArn": arn, "maxReceiveCount": "1"}).decode()
    url: str = client.call("CreateQueue", QueueName=next(_names), Attributes={"RedrivePolicy": policy})["QueueUrl"]
    with RawClient(queue_server.endpoint_url) as poller:
        _poll(poller, dead_url, 10)
        client.call("SendMessage", QueueUrl=url, MessageBody="poison")
        client.call("ReceiveMessage", QueueUrl=url, VisibilityTimeout=0)
        assert client.call("ReceiveMessage", QueueUrl=url) == {}
        assert _bodies(poller.read()) == ["poison"]


def test_too_many_in_flight_is_an_error_for_short_polls_only() -> None:
    """At the limit a short poll fails; a long poll waits, and gets a message after a delete."""
    with (
        local_queue_server(in_flight_limit=1) as server,
        RawClient(server.endpoint_url) as client,
        RawClient(server.endpoint_url) as poller,
    ):
        url = _create(client)
        for body in ("a", "b"):
            client.call("SendMessage", QueueUrl=url, MessageBody=body)
        (held,) = client.call("ReceiveMessage", QueueUrl=url)["Messages"]
        with pytest.raises(QueueFault, match="OverLimit"):
            client.call("ReceiveMessage", QueueUrl=url)
        assert client.call("ReceiveMessage", QueueUrl=url, WaitTimeSeconds=1) == {}
        _poll(poller, url, 10)
        _round_trip(client)
        client.call("DeleteMessage", QueueUrl=url, ReceiptHandle=held["ReceiptHandle"])
        assert _bodies(poller.read()) == ["b"]


def test_a_backlog_is_attached_and_received(client: RawClient) -> None:
    """AttachBacklog gives a queue messages that are generated when they are received."""
    url = _create(client)
    client.attach_backlog(url, "benchmarks.loadtest.queue_server_speed:s3_backlog", count=25)
    answer = client.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    assert answer["Attributes"]["ApproximateNumberOfMessages"] == "25"
    received = [
        len(client.call("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])) for _ in range(4)
    ]
    assert received == [10, 10, 5, 0]
    with pytest.raises(QueueFault, match="No backlog"):
        client.attach_backlog(url, "benchmarks.loadtest.queue_server_speed:nothing")


def test_unimplemented_features_are_rejected(client: RawClient) -> None:
    """FIFO queues, message attributes and unknown operations are rejected with a message."""
    with pytest.raises(QueueFault, match="FIFO queues are not implemented"):
        client.call("CreateQueue", QueueName="a.fifo")
    with pytest.raises(QueueFault, match="FIFO queues are not implemented"):
        client.call("CreateQueue", QueueName="a", Attributes={"FifoQueue": "true"})
    with pytest.raises(QueueFault, match=r"does not implement 'AmazonSQS\.TagQueue'"):
        client.call("TagQueue")
    attributes = {"a": {"DataType": "String", "StringValue": "b"}}
    with pytest.raises(QueueFault, match="keeps no message attributes"):
        client.call("SendMessage", QueueUrl=_create(client), MessageBody="a", MessageAttributes=attributes)


def test_invalid_parameters_are_named(client: RawClient) -> None:
    """The error names a missing parameter, and one of the wrong type."""
    url = _create(client)
    with pytest.raises(QueueFault, match=r"MissingRequiredParameterException.*QueueUrl"):
        client.call("ReceiveMessage")
    with pytest.raises(QueueFault, match=r"SerializationException.*MaxNumberOfMessages"):
        client.call("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages="ten")
    with pytest.raises(QueueFault, match=r"MissingRequiredParameterException.*VisibilityTimeout"):
        client.call("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle="x")
    with pytest.raises(QueueFault, match=r"InvalidAttributeValue.*DelaySeconds"):
        client.call("SetQueueAttributes", QueueUrl=url, Attributes={"DelaySeconds": "901"})


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        pytest.param(b"nonsense\r\n\r\n", b"400", id="not HTTP"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", b"403", id="not signed"),
        pytest.param(b"POST / HTTP/1.1\r\nX: " + b"x" * (MAX_REQUEST_BYTES + 1), b"413", id="too long"),
    ],
)
def test_an_invalid_request_is_rejected(queue_server: QueueServer, request_bytes: bytes, status: bytes) -> None:
    """A request that is not HTTP, not signed or too long gets an error response of the service's shape."""
    address = urlsplit(queue_server.endpoint_url)
    with socket.create_connection((address.hostname, address.port), 5) as connection:
        connection.settimeout(5)
        with contextlib.suppress(ConnectionError):  # the server may close it while we are still sending
            connection.sendall(request_bytes)
        assert connection.recv(100).startswith(b"HTTP/1.1 " + status)


def test_a_second_request_before_the_answer_ends_the_connection(queue_server: QueueServer, client: RawClient) -> None:
    """Requests cannot be pipelined: a request during a waiting poll is rejected."""
    url = _create(client)
    _poll(client, url, 10)
    client.send(client.build("AmazonSQS.ReceiveMessage", {"QueueUrl": url}))
    with pytest.raises(QueueFault, match="not been answered yet"):
        client.read()
