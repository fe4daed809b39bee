"""The demo's own command: `put` sends the event of a new object."""

from __future__ import annotations

import pytest

from benchmarks.demo import PUT_BUCKET, put
from subscriber.events.decode import decode
from subscriber.model import Lease, Message
from testkit.sqs import local_queue_server
from testkit.sqs.raw_client import RawClient


def test_put_sends_an_event_that_becomes_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message decodes to one present object with the given key."""
    with local_queue_server() as server, RawClient(server.endpoint_url) as client:
        url = client.call("CreateQueue", QueueName="demo")["QueueUrl"]
        monkeypatch.setenv("SUBSCRIBER_QUEUE_URLS", url)
        assert put("reports/to day.csv") == f"sent ObjectCreated:Put of s3://{PUT_BUCKET}/reports/to day.csv"
        (received,) = client.call("ReceiveMessage", QueueUrl=url)["Messages"]
    lease = Lease(queue="q", expires_at=0.0, handles=set())
    (event,) = decode(Message("q", "id", "h", received["Body"], 0.0, 1, lease)).events
    assert (event.bucket, event.key, event.state) == (PUT_BUCKET, "reports/to day.csv", "present")


def test_put_names_the_missing_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the exports of the demo it ends with an instruction."""
    monkeypatch.delenv("SUBSCRIBER_QUEUE_URLS", raising=False)
    with pytest.raises(SystemExit, match="SUBSCRIBER_QUEUE_URLS is not set"):
        put("reports/today.csv")


def test_put_reports_a_demo_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection is one sentence, not a traceback."""
    with local_queue_server() as server:
        url = f"{server.endpoint_url}/000000000000/object-events"
    monkeypatch.setenv("SUBSCRIBER_QUEUE_URLS", url)
    with pytest.raises(SystemExit, match="is the demo still running"):
        put("reports/today.csv")
