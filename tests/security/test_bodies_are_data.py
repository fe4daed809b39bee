"""A body is data: the daemon calls no address in it, whatever its envelope and its claimed sender."""

from __future__ import annotations

import asyncio
import json

from subscriber.errors import ExitCode
from testkit.workload import notifications
from tests.e2e.environment import RunContext, put_body


async def test_no_address_in_a_body_is_called(context: RunContext) -> None:
    """All addresses in the bodies lead to a listener, which receives no connection until the daemon has stopped."""
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read(1_000))
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    bodies = _bodies(address)
    with context.daemon() as daemon:
        context.send(bodies)
        await context.until_empty()
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    assert received == []
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.sockets[0].getsockname()[1])
    writer.write(b"a call")
    await reader.read()
    writer.close()
    assert received == [b"a call"]  # the listener worked all the time
    listener.close()
    quarantined = await context.fetch("SELECT body FROM quarantined_messages")
    assert {row["body"].decode() for row in quarantined} == set(bodies[:3])
    assert sorted(row["key"] for row in await context.fetch("SELECT key FROM objects")) == sorted(
        [address, "notified.txt"]
    )


def _bodies(address: str) -> list[str]:
    """Three bodies without events, two with events."""
    confirmation = {
        "Type": "SubscriptionConfirmation",
        "TopicArn": "arn:aws:sns:us-east-1:111122223333:topic",
        "Token": "2336412f37fb687f5d51e6e2425f0a51a8b1c2",
        "Message": "You have chosen to subscribe. To confirm, visit the SubscribeURL.",
        "SubscribeURL": f"{address}/confirm",
        "SigningCertURL": f"{address}/cert.pem",
    }
    notified = json.loads(notifications.sns_body(put_body("notified.txt")))
    notified |= {"SigningCertURL": f"{address}/cert.pem", "UnsubscribeURL": f"{address}/unsubscribe"}
    return [
        json.dumps(confirmation),
        json.dumps(confirmation | {"Type": "UnsubscribeConfirmation"}),
        json.dumps({"$ref": address, "@include": address, "Records": f"{address}/records.json"}),
        json.dumps(notified),
        put_body(address),
    ]
