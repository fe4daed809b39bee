"""The end of the demo: fills the index from a bucket that no event told of, and finds events that were lost on purpose.

The listing server serves two buckets: one that was there before any subscription, and one of those whose events the
load has sent. The commands are real processes, as an operator starts them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import asyncpg

from benchmarks.demo_command import COMMAND_SECONDS, DRIFT_CODE, run_command
from testkit.s3 import BucketSpec, GeneratedPlan, ListingServer, local_listing_server
from testkit.s3.raw_client import RawS3
from testkit.terminal import Screen
from testkit.workload.bucket import SimulatedBucket
from testkit.workload.load import LoadPlan

FILLED: Final = "lake-2025"
"""Was there before the subscription."""
COMPARED: Final = "lake-curated"
"""The bucket of the load that has versioning."""
NEW_KEY: Final = "raw/lost.parquet"
_FILLED_PLAN: Final = GeneratedPlan(keys=5_000, deep_versions=1_500)
_PLAIN_KEY: Final = re.compile(r"[a-z0-9/=.-]+")
_SUBSCRIPTION: Final = (
    '<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><QueueConfiguration>'
    "<Queue>arn:aws:sqs:us-east-1:{account}:{name}</Queue><Event>s3:ObjectCreated:*</Event>"
    "<Event>s3:ObjectRemoved:*</Event></QueueConfiguration></NotificationConfiguration>"
)
_ROWS: Final = "SELECT key, version_id FROM subscriber.object_versions WHERE bucket = $1 AND state <> 'removed'"


@contextmanager
def demo_buckets(plan: LoadPlan, queue_url: str) -> Iterator[ListingServer]:
    """A listing server with both buckets, which name the queue in their notification configuration.

    Args:
        plan: what the load has sent.
        queue_url: the queue of the daemon.

    Raises:
        ProcessError: the server does not start.
    """
    account, name = queue_url.split("/")[-2:]
    specs = (BucketSpec(FILLED, generated=_FILLED_PLAN), BucketSpec(COMPARED, load=plan))
    with local_listing_server(specs) as server, RawS3(server.endpoint_url) as s3:
        for spec in specs:
            body = _SUBSCRIPTION.format(account=account, name=name).encode()
            s3.call("PUT", spec.name, {"notification": ""}, body)
        yield server


def fill_and_compare(screen: Screen, variables: Mapping[str, str], simulated: SimulatedBucket) -> bool:
    """Fill one bucket, lose events of the other, compare and repair it; print the commands with their reports.

    Args:
        screen: where to print.
        variables: the environment variables of the commands, with AWS_ENDPOINT_URL_S3.
        simulated: the compared bucket as the load has left it.

    Returns:
        Whether exactly the lost events were reported, and both buckets equal the index in the end.
    """
    with RawS3(variables["AWS_ENDPOINT_URL_S3"]) as s3:
        screen.say(f"  {FILLED} was there before the subscription: no event told of it\n")
        filled = run_command(screen, variables, "backfill", f"s3://{FILLED}")
        screen.say("\n  from here on the index remembers what changes\n")
        run_command(screen, variables, "features", "enable", "history")
        lost = _lose_events(s3, simulated)
        screen.say(f"\n  {COMPARED} changes {len(lost)} times, and the events are lost on purpose\n")
        # No event is under way any more: nothing is too young to be judged.
        found = run_command(screen, variables, "reconcile", "--grace", "0", f"s3://{COMPARED}")
        screen.say()
        repaired = run_command(screen, variables, "reconcile", "--grace", "0", "--repair", f"s3://{COMPARED}")
        differing = sum(len(_listed(s3, name) ^ _stored(variables, name)) for name in (FILLED, COMPARED))
    is_exact = (found.code, found.differences) == (DRIFT_CODE, lost)
    is_good = is_exact and filled.code == repaired.code == 0 and not differing
    text, color = ("exactly the lost events were reported", "green") if is_exact else ("FAILED", "red")
    screen.say(f"\n  {screen.styled(text, 'bold', color)}; versions that only bucket or index has now: {differing}\n")
    return is_good


def _lose_events(s3: RawS3, simulated: SimulatedBucket) -> frozenset[tuple[str, str]]:
    """Change the bucket without an event; return kind and key of what the index then lacks."""
    plain = [key for key in simulated.stacks() if simulated.is_current(key) and _PLAIN_KEY.fullmatch(key)]
    overwritten, deleted, removed = (plain[len(plain) * part // 4] for part in (1, 2, 3))
    s3.call("PUT", f"{COMPARED}/{NEW_KEY}", body=b"new")
    s3.call("PUT", f"{COMPARED}/{overwritten}", body=b"overwritten")
    s3.call("DELETE", f"{COMPARED}/{deleted}")
    s3.call("DELETE", f"{COMPARED}/{removed}", {"versionId": simulated.version_ids(removed)[-1]})
    return frozenset((("missing", NEW_KEY), ("missing", overwritten), ("missing", deleted), ("ghost", removed)))


def _listed(s3: RawS3, bucket: str) -> set[tuple[str, str]]:
    """Key and version id of everything in a bucket, as ListObjectVersions shows it."""
    pages = s3.pages(bucket, {"versions": ""})
    return {(entry.key, entry.version_id) for page in pages for entry in page.entries}


def _stored(variables: Mapping[str, str], bucket: str) -> set[tuple[str, str]]:
    """Key and version id of every row of a bucket that is no tombstone."""
    return asyncio.run(_read(variables["SUBSCRIBER_DATABASE_URL"], bucket))


async def _read(url: str, bucket: str) -> set[tuple[str, str]]:
    connection = await asyncpg.connect(url, timeout=COMMAND_SECONDS)
    try:
        rows = await connection.fetch(_ROWS, bucket, timeout=COMMAND_SECONDS)
    finally:
        await connection.close()
    return {(row["key"], row["version_id"]) for row in rows}
