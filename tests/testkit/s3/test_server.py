"""The listing server over real sockets: addresses, regions, faults and counts."""

from __future__ import annotations

import asyncio
import http.client
import time
from email.utils import parsedate_to_datetime
from random import Random
from xml.etree import ElementTree as ET

import pytest

from testkit.cpu import cpu_seconds
from testkit.process import ProcessError
from testkit.s3 import Fault, GeneratedPlan, ListingServer, ServedS3, serve
from testkit.s3.buckets import BucketSpec
from testkit.s3.faults import FaultKind
from testkit.s3.live import MAX_OBJECT_BYTES
from testkit.s3.raw_client import RawS3, Reply, StorageError, error_code, read_page
from testkit.s3.server import ServerOptions
from testkit.workload.bucket import SimulatedBucket
from testkit.workload.load import LoadPlan, Phase
from tests.fixtures.s3 import MakeBucket

_VERSIONS = {"versions": "", "encoding-type": "url"}
_PLAN = GeneratedPlan(250, keys_per_block=100)


def test_a_bucket_may_be_named_in_the_host(
    raw_s3: RawS3, serve_bucket: MakeBucket, listing_server: ListingServer
) -> None:
    """Path style and virtual-host style lead to the same bucket and objects."""
    bucket = serve_bucket().name
    raw_s3.call("PUT", f"{bucket}/a b/c", body=b"body")
    with RawS3(listing_server.endpoint_url, host=f"{bucket}.s3.us-east-1.amazonaws.com") as virtual:
        assert virtual.call("GET", "a b/c").body == b"body"
        page = read_page(virtual.call("GET", "", _VERSIONS).body)
    assert page == raw_s3.page(bucket, _VERSIONS)
    assert [entry.key for entry in page.entries] == ["a b/c"]


def test_the_page_size_of_the_server_is_the_smaller_limit(raw_s3: RawS3, serve_bucket: MakeBucket) -> None:
    """A server may send fewer entries than it was asked for; the page still tells what was asked."""
    bucket = serve_bucket(generated=_PLAN, page_size=7).name
    page = raw_s3.page(bucket, _VERSIONS)
    assert (len(page.entries), page.elements["MaxKeys"], page.elements["IsTruncated"]) == (7, "1000", "true")


def test_a_bucket_of_another_region_redirects(
    raw_s3: RawS3, serve_bucket: MakeBucket, listing_server: ListingServer
) -> None:
    """The redirection names the region in its header, also to HEAD; a signature for that region is served."""
    bucket = serve_bucket(generated=_PLAN, region="eu-west-1").name
    for method in ("GET", "HEAD"):
        reply = raw_s3.send(method, bucket, _VERSIONS if method == "GET" else None)
        assert (reply.status, reply.headers["x-amz-bucket-region"]) == (301, "eu-west-1")
    assert error_code(raw_s3.send("GET", bucket, _VERSIONS)) == "PermanentRedirect"
    with RawS3(listing_server.endpoint_url, region="eu-west-1") as there:
        assert there.page(bucket, _VERSIONS).entries
        assert b">eu-west-1</LocationConstraint>" in there.call("GET", bucket, {"location": ""}).body
    with RawS3(listing_server.endpoint_url, region="mars-1") as elsewhere:
        reply = elsewhere.send("GET", bucket, _VERSIONS)
    assert (reply.status, error_code(reply)) == (400, "AuthorizationHeaderMalformed")
    assert ET.fromstring(reply.body).findtext("Region") == "eu-west-1"


def test_requester_pays_and_the_expected_owner_are_checked(raw_s3: RawS3, serve_bucket: MakeBucket) -> None:
    """Without the header that accepts the cost, or for another owner's bucket, access is denied."""
    bucket = serve_bucket(generated=_PLAN, is_requester_paid=True).name
    pays = {"x-amz-request-payer": "requester"}
    assert error_code(raw_s3.send("GET", bucket, _VERSIONS)) == "AccessDenied"
    assert raw_s3.send("GET", bucket, _VERSIONS, headers=pays).status == 200
    for owner, status in (("000000000000", 200), ("111111111111", 403)):
        owned = {**pays, "x-amz-expected-bucket-owner": owner}
        assert raw_s3.send("GET", bucket, _VERSIONS, headers=owned).status == status


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("slow_down", 503, "SlowDown"),
        ("internal_error", 500, "InternalError"),
        ("access_denied", 403, "AccessDenied"),
        ("error_in_200", 200, "InternalError"),
    ],
)
def test_the_next_requests_get_an_error(
    raw_s3: RawS3, serve_bucket: MakeBucket, listing_server: ListingServer, kind: FaultKind, status: int, code: str
) -> None:
    """So many requests of the operation fail, after those that are to succeed before; all others succeed."""
    bucket = serve_bucket(generated=_PLAN).name
    listing_server.add_faults(Fault(kind, requests=2, operation="ListObjectVersions", skip=1, retry_after_seconds=3))
    replies = [raw_s3.send("GET", bucket, _VERSIONS) for _ in range(4)]
    assert [error_code(reply) for reply in replies] == ["", code, code, ""]
    assert replies[1].status == status
    assert replies[1].headers.get("retry-after") == ("3" if kind == "slow_down" else None)
    assert raw_s3.send("HEAD", bucket).status == 200


def test_bodies_end_early_or_come_slowly(
    raw_s3: RawS3, serve_bucket: MakeBucket, listing_server: ListingServer
) -> None:
    """A connection closed in the body, one closed before it, a page cut as if it were whole, a slow one, a late one."""
    bucket = serve_bucket(generated=_PLAN).name
    whole = raw_s3.call("GET", bucket, _VERSIONS).body
    listing_server.add_faults(Fault("truncated"), Fault("lost"), Fault("cut_xml"))
    with pytest.raises(http.client.IncompleteRead) as raised:
        raw_s3.send("GET", bucket, _VERSIONS)
    assert whole.startswith(raised.value.partial)
    assert 0 < len(raised.value.partial) < len(whole)
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        raw_s3.send("GET", bucket, _VERSIONS)
    assert raw_s3.send("GET", bucket, _VERSIONS).body == whole[: len(whole) // 2]
    listing_server.add_faults(Fault("slow_body", seconds=0.1), Fault("delay", seconds=0.1))
    for _ in range(2):
        begin = time.monotonic()
        assert raw_s3.send("GET", bucket, _VERSIONS).body == whole
        assert time.monotonic() - begin >= 0.09


def test_a_page_of_objects_may_be_empty(raw_s3: RawS3, serve_bucket: MakeBucket, listing_server: ListingServer) -> None:
    """A page without entries that is not the last one costs no entry: the chain goes on at the same place."""
    bucket = serve_bucket(generated=_PLAN, page_size=30).name
    query = {"list-type": "2", "encoding-type": "url"}
    whole = [entry for page in raw_s3.pages(bucket, query) for entry in page.entries]
    listing_server.add_faults(Fault("empty_page", operation="ListObjectsV2", skip=1, requests=2))
    pages = list(raw_s3.pages(bucket, query))
    assert [len(page.entries) for page in pages[:5]] == [30, 0, 0, 30, 30]
    assert pages[1].elements["KeyCount"] == "0"
    assert [entry for page in pages for entry in page.entries] == whole


def test_requests_bytes_and_cpu_are_counted(
    raw_s3: RawS3, serve_bucket: MakeBucket, listing_server: ListingServer
) -> None:
    """The counts are those of the requests, and the CPU time is that of the server's process."""
    bucket = serve_bucket(generated=_PLAN).name
    before = listing_server.counts()
    bodies = [raw_s3.call("GET", bucket, _VERSIONS).body for _ in range(3)]
    raw_s3.call("HEAD", bucket)
    after = listing_server.counts()
    grown = {name: count - before.requests.get(name, 0) for name, count in after.requests.items() if name != "Admin"}
    assert {name: count for name, count in grown.items() if count} == {"ListObjectVersions": 3, "HeadBucket": 1}
    assert after.body_bytes - before.body_bytes >= sum(map(len, bodies))
    assert before.cpu_seconds < after.cpu_seconds <= cpu_seconds(listing_server.pid) + 0.1


def test_what_the_server_lacks_is_said(raw_s3: RawS3, serve_bucket: MakeBucket, listing_server: ListingServer) -> None:
    """An operation that is not implemented, and a change of a generated bucket, are answered with 501."""
    bucket = serve_bucket(generated=_PLAN).name
    replies = [
        raw_s3.send("GET", bucket),
        raw_s3.send("GET", bucket, {"acl": "", "list-type": "1"}),
        raw_s3.send("PUT", f"{bucket}/key", body=b"1"),
        raw_s3.send("POST", f"{bucket}/key", {"uploads": ""}),
    ]
    assert [(reply.status, error_code(reply)) for reply in replies] == [(501, "NotImplemented")] * 4
    with pytest.raises(ProcessError, match="NotImplemented"):
        listing_server._call("Explode", {})
    with pytest.raises(ProcessError, match="MalformedRequest"):
        listing_server._call("AddFaults", [{"kind": "explode"}])


def test_a_body_must_be_what_its_hash_says(raw_s3: RawS3, serve_bucket: MakeBucket) -> None:
    """The header x-amz-content-sha256 is required, and is the body's."""
    bucket = serve_bucket().name
    reply = raw_s3.send("PUT", f"{bucket}/key", body=b"1", headers={"x-amz-content-sha256": "0" * 64})
    assert (reply.status, error_code(reply)) == (400, "XAmzContentSHA256Mismatch")
    unsigned = raw_s3.send("PUT", f"{bucket}/key", body=b"1", headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
    assert unsigned.status == 200


def test_a_body_and_a_key_have_their_limits(raw_s3: RawS3, serve_bucket: MakeBucket) -> None:
    """A longer body than the server keeps and a longer key than S3 takes are refused; the longest ones are not."""
    bucket = serve_bucket().name
    large = raw_s3.send("PUT", f"{bucket}/key", body=bytes(MAX_OBJECT_BYTES + 1))
    assert (large.status, error_code(large)) == (400, "EntityTooLarge")
    assert raw_s3.send("PUT", f"{bucket}/key", body=bytes(MAX_OBJECT_BYTES)).status == 200
    assert error_code(raw_s3.send("PUT", f"{bucket}/{'é' * 512}a")) == "KeyTooLongError"
    assert raw_s3.send("PUT", f"{bucket}/{'é' * 512}").status == 200


def test_a_client_may_wait_for_100_continue(raw_s3: RawS3, serve_bucket: MakeBucket) -> None:
    """The server asks for a body that is held back, as botocore does with every PutObject."""
    bucket = serve_bucket().name
    assert raw_s3.send("PUT", f"{bucket}/key", body=b"body", headers={"expect": "100-continue"}).status == 200
    assert raw_s3.call("GET", f"{bucket}/key").body == b"body"


def test_the_buckets_of_a_load_are_listed(raw_s3: RawS3, listing_server: ListingServer) -> None:
    """A server in another process shows what an index holds when all events of the load have arrived."""
    plan = LoadPlan((Phase(400, 1),), seed=3)
    for bucket in plan.buckets():
        listing_server.add_bucket(BucketSpec(bucket.name, load=plan, page_size=50))
        listed = [entry for page in raw_s3.pages(bucket.name, _VERSIONS) for entry in page.entries]
        shown = sorted((entry.key, entry.version_id, entry.size_bytes, entry.is_marker) for entry in listed)
        kept = [row for row in bucket.expected_versions() if row.state != "removed"]
        assert shown == [(row.key, row.version_id, row.size_bytes, row.state == "delete_marker") for row in kept]
    with pytest.raises(ProcessError, match="NoSuchBucket"):
        listing_server.add_bucket(BucketSpec("other", load=plan))


async def test_a_simulated_bucket_is_served_in_this_process() -> None:
    """What happens to the bucket is on the next page, and the clock of the server is the test's."""
    simulated = SimulatedBucket("lake", Random(1))
    async with serve(ServerOptions(access_key="me", secret_key="secret"), clock=lambda: 1_700_000_000.0) as served:
        served.add_bucket(BucketSpec("lake"), simulated)
        simulated.put("a", 3)
        first = await asyncio.to_thread(_listing, served)
        simulated.put("b", 4)
        second = await asyncio.to_thread(_listing, served)
        served.add_faults(Fault("slow_down"))
        with pytest.raises(StorageError, match="503 SlowDown"):
            await asyncio.to_thread(_listing, served)
        served.clear_faults()
        assert served.counts().requests == {"ListObjectVersions": 3}
    assert [entry.key for entry in read_page(first.body).entries] == ["a"]
    assert [entry.key for entry in read_page(second.body).entries] == ["a", "b"]
    assert parsedate_to_datetime(second.headers["date"]).timestamp() == 1_700_000_000.0


def _listing(served: ServedS3) -> Reply:
    with RawS3(served.endpoint_url, "me", "secret") as client:
        return client.call("GET", "lake", _VERSIONS)
