"""docs/tutorial.md: the script that deletes the object sends an event that the daemon understands."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest

from tests.config.shell_blocks import blocks
from tests.events.samples import event_of
from tests.repo.source import texts


class SentMessages:
    """A session and its client for SQS, which keeps what it is asked to send."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def create_client(self, service: str, region_name: str) -> SentMessages:
        """This object, for the service that the script needs."""
        assert (service, region_name) == ("sqs", "us-east-1")
        return self

    def send_message(self, **parameters: Any) -> None:
        """Keeps the parameters."""
        self.sent.append(parameters)


def test_the_script_removes_the_object_of_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key that the tutorial adds, in the bucket that it queries, by S3's event for a deletion."""
    session = SentMessages()
    monkeypatch.setattr(botocore.session, "get_session", lambda: session)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("SUBSCRIBER_QUEUE_URLS", "http://127.0.0.1:1/000000000000/object-events")
    page = texts()["docs/tutorial.md"]
    (script,) = blocks(page, "python")
    exec(compile(script, "remove.py", "exec"), {})
    (sent,) = session.sent
    event = event_of(sent["MessageBody"])
    assert (event.bucket, event.key, event.state) == ("demo", "reports/today.csv", "removed")
    assert f"put {event.key}" in page
    assert f"WHERE bucket = '{event.bucket}'" in page
