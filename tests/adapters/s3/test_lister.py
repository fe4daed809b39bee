"""The lister over real connections: pages, failures, retries, regions, headers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from subscriber.adapters.s3 import attempts as attempts_module
from subscriber.adapters.s3 import client as client_module
from subscriber.adapters.s3.attempts import ATTEMPTS
from subscriber.adapters.s3.client import BucketOptions
from subscriber.adapters.s3.lister import BucketLister, ListerOptions
from subscriber.errors import ConfigurationError, ListingError, QueueError
from subscriber.flow.backoff import Backoff
from subscriber.flow.request_budget import RequestLimits
from subscriber.model import KeyRange, ListedVersion
from tests.adapters.aws.scripted_server import Server, running
from tests.adapters.s3.buckets import SECOND, version
from tests.fixtures.aws import session_with_cached_models

EVERYTHING = KeyRange()
FAST = RequestLimits(at_once=4, per_second=10_000.0)
OBJECTS = ListerOptions(BucketOptions("lake"), "ListObjectsV2", limits=FAST)


def answer(content: str = "", status: int = 200, **headers: str) -> bytes:
    """An answer; a `_` in a header's name is a `-`."""
    named = {"Content-Length": str(len(content.encode())), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n{content}".encode()


def error(code: str, status: int, more: str = "", **headers: str) -> bytes:
    """An error of S3."""
    content = f"<Error><Code>{code}</Code><Message>No.</Message>{more}</Error>"
    return answer(content, status, **headers)


def keys_page(*keys: str, token: str = "") -> bytes:
    """A page of ListObjectsV2."""
    time = "2026-11-29T09:00:01.000Z"
    objects = "".join(
        f"<Contents><Key>{key}</Key><LastModified>{time}</LastModified><ETag>&quot;e&quot;</ETag><Size>1</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
        for key in keys
    )
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
    return answer(
        f"<ListBucketResult><EncodingType>url</EncodingType>{more if token else '<IsTruncated>false</IsTruncated>'}"
        f"{objects}</ListBucketResult>"
    )


class Script:
    """A server that gives scripted answers, the last one for ever."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)
        self.requests: list[bytes] = []

    async def __call__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the requests of one connection."""
        while True:
            self.requests.append(await server.request(reader))
            answered = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            writer.write(answered)
            if b"Connection: close" in answered:
                return


@pytest.fixture(autouse=True)
def quick(aws_environment: pytest.MonkeyPatch) -> None:
    """Retries come at once, and models are loaded once for all tests."""
    aws_environment.setattr(attempts_module, "BACKOFF", Backoff(first_seconds=0.0, max_seconds=0.0, jitter=0.0))
    aws_environment.setattr(client_module, "session_with_region", session_with_cached_models)


@asynccontextmanager
async def listing(
    monkeypatch: pytest.MonkeyPatch, *answers: bytes, options: ListerOptions = OBJECTS
) -> AsyncIterator[tuple[BucketLister, Script]]:
    """A lister of a scripted bucket."""
    script = Script(*answers)
    async with running(script) as (_, port):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
        async with BucketLister(options) as lister:
            yield lister, script


async def listed(lister: BucketLister, keys: KeyRange = EVERYTHING) -> list[ListedVersion]:
    """All entries of a range."""
    return [entry async for page in lister.pages(keys) for entry in page]


def target(request: bytes) -> str:
    """The method and the target of a request."""
    return request.split(b" HTTP/1.1", 1)[0].decode()


async def test_pages_follow_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token goes along as it is, keys are decoded, and each request is counted."""
    async with listing(monkeypatch, keys_page("a+b", token="x/+="), keys_page("%C3%A9")) as (lister, script):
        assert await listed(lister, KeyRange("A b+")) == [version("a b"), version("é")]
        assert lister.requests == {"ListObjectsV2": 2}
    assert [target(request) for request in script.requests] == [
        "GET /lake?encoding-type=url&list-type=2&max-keys=1000&start-after=A%20b%2B",
        "GET /lake?continuation-token=x%2F%2B%3D&encoding-type=url&list-type=2&max-keys=1000",
    ]


@pytest.mark.parametrize(
    "failure",
    [
        error("SlowDown", 503),
        error("InternalError", 500),
        error("InternalError", 200),
        answer("<ListBucketResult><Contents>"),
        answer("", 502),
        error("RequestTimeout", 400),
        error("ExpiredToken", 400),
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
async def test_a_failure_that_may_pass_is_retried(monkeypatch: pytest.MonkeyPatch, failure: bytes) -> None:
    """Also an error or a cut page with the status 200: what was listed before stands."""
    answers = (keys_page("a", token="t"), failure, failure, keys_page("b"))
    async with listing(monkeypatch, *answers) as (lister, _):
        assert await listed(lister) == [version("a"), version("b")]
        assert lister.requests == {"ListObjectsV2": 4}


@pytest.mark.parametrize(
    ("failure", "requests", "sentence"),
    [
        (error("SlowDown", 503), ATTEMPTS, "SlowDown: No."),
        (answer("<a/>"), ATTEMPTS, "InvalidPage: its root is a"),
        (error("NoSuchBucket", 404), 1,
         "NoSuchBucket: No. (check the bucket's name, and AWS_REGION or AWS_ENDPOINT_URL)"),
        (error("AccessDenied", 403), 1,
         "AccessDenied: No. (the role needs s3:ListBucket, and s3:ListBucketVersions for versions)"),
        (error("SignatureDoesNotMatch", 403), 1, "SignatureDoesNotMatch: No."),
        (error("InvalidArgument", 400), 1, "InvalidArgument: No."),
        (error("PermanentRedirect", 301), 1, "PermanentRedirect: No.; set AWS_REGION to the region of the bucket"),
        (answer("busy", 418), 1, "Http418: status 418"),
    ],
)  # fmt: skip
async def test_a_failure_that_stays(
    monkeypatch: pytest.MonkeyPatch, failure: bytes, requests: int, sentence: str
) -> None:
    """Attempts are bounded; what no retry changes is asked once. The sentence has S3's code and the remedy."""
    async with listing(monkeypatch, failure) as (lister, script):
        with pytest.raises(ListingError) as raised:
            await listed(lister)
    assert (str(raised.value), len(script.requests)) == (sentence, requests)


@pytest.mark.parametrize(
    "redirect",
    [
        error("PermanentRedirect", 301, x_amz_bucket_region="eu-west-3"),
        error("AuthorizationHeaderMalformed", 400, "<Region>eu-west-3</Region>"),
        error("TemporaryRedirect", 307, x_amz_bucket_region="eu-west-3"),
    ],
)
async def test_the_region_that_s3_names_is_used_from_then_on(monkeypatch: pytest.MonkeyPatch, redirect: bytes) -> None:
    """The same request goes to the other region once, and the next page goes there at once."""
    async with listing(monkeypatch, redirect, keys_page("a", token="t"), keys_page("b")) as (lister, script):
        assert await listed(lister) == [version("a"), version("b")]
    regions = [b"/eu-west-3/s3/" in request for request in script.requests]
    assert regions == [False, True, True]


async def test_a_second_redirect_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket is in one region: following further could go on for ever."""
    first = error("PermanentRedirect", 301, x_amz_bucket_region="eu-west-3")
    second = error("PermanentRedirect", 301, x_amz_bucket_region="eu-west-1")
    async with listing(monkeypatch, first, second) as (lister, script):
        for _ in range(2):
            with pytest.raises(ListingError, match=r"PermanentRedirect: No\.; set AWS_REGION to eu-west-1"):
                await listed(lister)
    assert len(script.requests) == 3


async def test_a_region_that_is_none_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a server writes there must not end in another exception."""
    redirect = error("PermanentRedirect", 301, x_amz_bucket_region="no region!")
    async with listing(monkeypatch, redirect) as (lister, _):
        with pytest.raises(ListingError, match="WrongRegion: the answer names 'no region!'"):
            await listed(lister)


async def test_a_wrong_clock_is_corrected_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next attempt is signed with the server's time."""
    date = format_datetime(datetime.fromtimestamp(SECOND, UTC), usegmt=True)
    skewed = error("RequestTimeTooSkewed", 403, Date=date)
    async with listing(monkeypatch, skewed, keys_page("a")) as (lister, script):
        assert await listed(lister) == [version("a")]
    assert b"x-amz-date: 20261129T0900" in script.requests[1]


async def test_headers_for_requester_and_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are signed; without them S3 answers 403."""
    bucket = BucketOptions("lake", is_requester_pays=True, expected_owner="123456789012")
    options = ListerOptions(bucket, "ListObjectVersions", "a b/", FAST)
    async with listing(monkeypatch, keys_page(), options=options) as (lister, script):
        await listed(lister)
    (request,) = script.requests
    assert target(request) == "GET /lake?encoding-type=url&max-keys=1000&prefix=a%20b%2F&versions="
    assert b"\r\nx-amz-request-payer: requester\r\n" in request
    assert b"\r\nx-amz-expected-bucket-owner: 123456789012\r\n" in request
    assert b"x-amz-date;x-amz-expected-bucket-owner;x-amz-request-payer, Signature=" in request.replace(
        b"SignedHeaders=host;x-amz-content-sha256;", b""
    )


async def test_the_time_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a HEAD of the bucket, retried like a page."""
    date = format_datetime(datetime.fromtimestamp(SECOND, UTC), usegmt=True)
    async with listing(monkeypatch, answer("", 503), answer("", Date=date)) as (lister, script):
        assert await lister.server_time() == SECOND
        assert lister.requests == {"HeadBucket": 2}
    assert [target(request) for request in script.requests] == ["HEAD /lake"] * 2


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (answer("", Date="yesterday"), "NoServerTime"),
        (answer(""), "NoServerTime"),
        (answer("", 403), "AccessDenied"),
        (answer("", 404), "NoSuchBucket"),
    ],
)
async def test_no_time_of_the_server(monkeypatch: pytest.MonkeyPatch, head: bytes, code: str) -> None:
    """A HEAD has no content, so its status is the code."""
    async with listing(monkeypatch, head) as (lister, _):
        with pytest.raises(ListingError) as raised:
            await lister.server_time()
    assert (raised.value.code, raised.value.is_permanent) == (code, True)


async def test_the_first_key_of_a_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """One request for one entry; a key behind the range is none of it."""
    async with listing(monkeypatch, keys_page("m", token="t"), keys_page("m"), keys_page()) as (lister, script):
        found = [await lister.first_key(keys) for keys in (KeyRange("k"), KeyRange("k", "l"), KeyRange("z"))]
    assert found == ["m", None, None]
    assert target(script.requests[0]) == "GET /lake?encoding-type=url&list-type=2&max-keys=1&start-after=k"


async def test_throttling_slows_down_all_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The budget's rate is halved, and the server's wish for a pause is kept."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    busy = error("SlowDown", 503, Retry_After="3")
    async with listing(monkeypatch, busy, keys_page("a")) as (lister, _):
        monkeypatch.setattr(asyncio, "sleep", sleep)
        assert await listed(lister) == [version("a")]
        rate = lister._attempts._budget._rate.per_second(asyncio.get_running_loop().time())
    assert pauses[0] == 3.0
    assert rate == pytest.approx(FAST.per_second / 2, rel=0.01)


async def test_an_unreachable_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every failure is a ListingError."""
    async with listing(monkeypatch, answer()) as (lister, _):
        pass
    monkeypatch.setattr(attempts_module, "ATTEMPTS", 2)
    async with BucketLister(OBJECTS) as lister:
        with pytest.raises(ListingError, match="ConnectionRefusedError: "):
            await listed(lister)


async def test_without_credentials_the_lister_does_not_open(aws_environment: pytest.MonkeyPatch) -> None:
    """With the remedy."""
    aws_environment.delenv("AWS_ACCESS_KEY_ID")
    aws_environment.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    aws_environment.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(QueueError, match="bucket lake: no AWS credentials were found"):
        async with BucketLister(ListerOptions(BucketOptions("lake"), "ListObjectsV2")):
            pass


async def test_a_bucket_that_is_none_does_not_open(aws_environment: pytest.MonkeyPatch) -> None:
    """Before any request."""
    with pytest.raises(ConfigurationError, match="'a/b' is neither"):
        async with BucketLister(ListerOptions(BucketOptions("a/b"), "ListObjectsV2")):
            pass
