"""The CPU cost of the SQS emulator: `python -m benchmarks.loadtest.queue_server_speed`.

The server runs in a process of its own; this process drives it with ReceiveMessage(10) and DeleteMessageBatch(10) over
several connections, every request signed and every signature verified. The figure is the user and system CPU time of
the server's process: what the server takes away from a measurement it is part of. The best of several rounds counts,
because other work on the machine can only add to it. Exits with 1 if the server exceeds its budget.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from operator import attrgetter

import msgspec
import psutil

from testkit.sqs import local_queue_server
from testkit.sqs.backlog import Backlog, GeneratedBacklog
from testkit.sqs.raw_client import RawClient

BUDGET_MICROSECONDS = 25.0
"""CPU time per message received and deleted in tens."""

_BATCH = 10
_HOUR = "year%3D2026/month%3D01/day%3D01/hour%3D00"
_BUDGETED = "receive and delete"
_SYSTEM_ATTRIBUTES = ["SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp"]


class Cost(msgspec.Struct, frozen=True):
    """The cost of some messages."""

    messages: int
    cpu_seconds: float
    elapsed_seconds: float

    @property
    def cpu_microseconds(self) -> float:
        """Of the server, per message."""
        return self.cpu_seconds / self.messages * 1e6

    @property
    def messages_per_second(self) -> float:
        """Over one connection."""
        return self.messages / self.elapsed_seconds


class _Received(msgspec.Struct, rename="pascal"):
    receipt_handle: str


class _Response(msgspec.Struct, rename="pascal"):
    messages: list[_Received] = []


_DECODER = msgspec.json.Decoder(_Response)


def s3_body(index: int) -> str:
    """A native S3 notification of common length, about 900 bytes."""
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-01-01T00:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "AWS:AIDAEXAMPLEEXAMPLEEXAMPLE:uploader"},
        "requestParameters": {"sourceIPAddress": "192.0.2.10"},
        "responseElements": {
            "x-amz-request-id": f"{index:016X}",
            "x-amz-id-2": "vlR7PnpV2Ce81l0PRw6jlUpck7Jo5ZsQjryTjKlc5aLWGVHPZLj5NeC6qMa0emYBDXOo6QBU0Wo9TTj2",
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "lake-index-of-the-landing-zone",
            "bucket": {
                "name": "data-lake-landing",
                "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                "arn": "arn:aws:s3:::data-lake-landing",
            },
            "object": {
                "key": f"landing/tenant%3D42/source%3Dtelemetry/{_HOUR}/part-{index:012d}.parquet",
                "size": 1_048_576 + index,
                "eTag": f"{index:032x}",
                "sequencer": f"{0x0065A0000000000000 + index:018X}",
            },
        },
    }
    return msgspec.json.encode({"Records": [record]}).decode()


def s3_backlog(count: int) -> Backlog:
    """So many notifications, generated when they are received."""
    return GeneratedBacklog(s3_body, count, time.time())


def receive_and_delete(clients: Sequence[RawClient], queue_url: str, pairs: int) -> int:
    """Receives and deletes in tens, so many times on every connection; returns the number of messages.

    Every connection has one request outstanding, so that the server always has work.
    """
    parameters = {
        "QueueUrl": queue_url,
        "MaxNumberOfMessages": _BATCH,
        "MessageSystemAttributeNames": _SYSTEM_ATTRIBUTES,
    }
    receive = clients[0].build("AmazonSQS.ReceiveMessage", parameters)
    total = 0
    for _ in range(pairs):
        for client in clients:
            client.send(receive)
        for client in clients:
            messages = _DECODER.decode(client.read()).messages
            total += len(messages)
            entries = [{"Id": str(i), "ReceiptHandle": m.receipt_handle} for i, m in enumerate(messages)]
            deletion = {"QueueUrl": queue_url, "Entries": entries}
            client.send(client.build("AmazonSQS.DeleteMessageBatch", deletion))
        for client in clients:
            client.read()
    return total


def send(client: RawClient, queue_url: str, batches: int) -> int:
    """Sends notifications in tens, so many times; returns the number of messages."""
    for batch in range(batches):
        entries = [{"Id": str(index), "MessageBody": s3_body(batch * _BATCH + index)} for index in range(_BATCH)]
        client.call("SendMessageBatch", QueueUrl=queue_url, Entries=entries)
    return batches * _BATCH


def measure(server: psutil.Process, work: Callable[[], int]) -> Cost:
    """Does the work and measures its cost for the server."""
    before, started = server.cpu_times(), time.perf_counter()
    messages = work()
    elapsed, after = time.perf_counter() - started, server.cpu_times()
    return Cost(messages, after.user + after.system - before.user - before.system, elapsed)


def run(rounds: int, pairs: int, connections: int) -> dict[str, list[Cost]]:
    """Every measurement, in so many rounds."""
    costs: dict[str, list[Cost]] = {}
    count = pairs * connections * _BATCH
    with local_queue_server() as running, ExitStack() as opened:
        server = psutil.Process(running.pid)
        clients = [opened.enter_context(RawClient(running.endpoint_url)) for _ in range(connections)]
        stored, generated = (
            clients[0].call("CreateQueue", QueueName=name)["QueueUrl"] for name in ("stored", "generated")
        )
        for _ in range(rounds):
            clients[0].attach_backlog(generated, "benchmarks.loadtest.queue_server_speed:s3_backlog", count=count)
            work: dict[str, Callable[[], int]] = {
                "send": partial(send, clients[0], stored, pairs * connections),
                _BUDGETED: partial(receive_and_delete, clients, stored, pairs),
                "receive and delete, generated bodies": partial(receive_and_delete, clients, generated, pairs),
            }
            for name, step in work.items():
                costs.setdefault(name, []).append(measure(server, step))
        print(f"server memory at the end: {server.memory_info().rss / 2**20:.0f} MiB")
    return costs


def main() -> int:
    """Measures, prints a table, and checks the budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--pairs", type=int, default=50, help="receives and deletes per round and connection")
    parser.add_argument("--connections", type=int, default=16)
    costs = run(**vars(parser.parse_args()))
    print(f"in tens, signed, bodies of {len(s3_body(0))} bytes; µs of the server's CPU per message")
    print(f"{'':45} {'best':>7} {'median':>7} {'messages/s':>11}")
    for name, rounds in costs.items():
        best = min(rounds, key=attrgetter("cpu_microseconds"))
        middle = statistics.median(cost.cpu_microseconds for cost in rounds)
        print(f"{name:45} {best.cpu_microseconds:7.1f} {middle:7.1f} {best.messages_per_second:11,.0f}")
    used = min(cost.cpu_microseconds for cost in costs[_BUDGETED])
    state = "within" if used <= BUDGET_MICROSECONDS else "over"
    print(f"{state} the budget of {BUDGET_MICROSECONDS:g} µs")
    return int(used > BUDGET_MICROSECONDS)


if __name__ == "__main__":
    sys.exit(main())
