"""Our signature equals that of botocore."""

from __future__ import annotations

from datetime import UTC, datetime
from unittest import mock

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as TheirCredentials
from hypothesis import given
from hypothesis import strategies as st

from subscriber.adapters.aws.signing import BucketSigner, Credentials, Signer, canonical_query

WORDS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/+=", min_size=1, max_size=60)


def botocore_headers(
    headers: dict[str, str], body: bytes, credentials: Credentials, region: str, now: int
) -> dict[str, str]:
    """The headers of botocore for the same request and time."""
    request = AWSRequest("POST", f"https://{headers['host']}/", headers=headers, data=body)
    theirs = TheirCredentials(credentials.access_key, credentials.secret_key, credentials.token)
    with mock.patch("botocore.auth.get_current_datetime", return_value=datetime.fromtimestamp(now, UTC)):
        SigV4Auth(theirs, "sqs", region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


@given(
    body=st.binary(max_size=2_000),
    now=st.integers(0, 4_000_000_000),
    region=st.sampled_from(["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1"]),
    credentials=st.builds(Credentials, access_key=WORDS, secret_key=WORDS, token=st.none() | WORDS),
    host=st.sampled_from(["sqs.us-east-1.amazonaws.com", "127.0.0.1:4566", "sqs-fips.us-gov-west-1.amazonaws.com"]),
)
def test_the_signature_equals_botocores(
    body: bytes, now: int, region: str, credentials: Credentials, host: str
) -> None:
    """For random bodies, dates, regions and credentials, with and without a session token."""
    signer = Signer(host, region)
    ours = signer.headers("AmazonSQS.ReceiveMessage", body, credentials, now)
    unsigned = {
        name: value
        for name, value in ours.items()
        if name not in {"authorization", "x-amz-date", "x-amz-security-token"}
    }
    theirs = botocore_headers(unsigned, body, credentials, region, now)
    assert ours == {name: theirs[name] for name in ours}


@given(
    parameters=st.dictionaries(st.text(min_size=1, max_size=12), st.text(max_size=60), max_size=8),
    extra=st.sampled_from([{}, {"x-amz-request-payer": "requester"}, {"x-amz-expected-bucket-owner": "123456789012"}]),
    now=st.integers(0, 4_000_000_000),
    method=st.sampled_from(["GET", "HEAD"]),
    credentials=st.builds(Credentials, access_key=WORDS, secret_key=WORDS, token=st.none() | WORDS),
    place=st.sampled_from(
        [
            ("lake.s3.eu-west-1.amazonaws.com", "/", "s3"),
            ("127.0.0.1:4566", "/la.ke", "s3"),
            ("minio.example:9000", "/base/lake", "s3"),
            ("ap-123456789012.op-01.s3-outposts.us-west-2.amazonaws.com", "/", "s3-outposts"),
        ]
    ),
)
def test_the_signature_of_a_read_equals_botocores(
    parameters: dict[str, str],
    extra: dict[str, str],
    now: int,
    method: str,
    credentials: Credentials,
    place: tuple[str, str, str],
) -> None:
    """For random queries of any Unicode, further headers, methods, hosts, paths and credentials."""
    host, path, service = place
    query = canonical_query(parameters)
    ours = BucketSigner(host, path, "eu-west-1", service).headers(method, query, extra, credentials, now)
    request = AWSRequest(method, f"https://{host}{path}", headers=dict(extra), params=parameters)
    theirs = TheirCredentials(credentials.access_key, credentials.secret_key, credentials.token)
    with mock.patch("botocore.auth.get_current_datetime", return_value=datetime.fromtimestamp(now, UTC)):
        S3SigV4Auth(theirs, service, "eu-west-1").add_auth(request)
    expected = {name.lower(): value for name, value in request.headers.items()}
    assert ours == {"host": host, **expected}


@given(
    key=st.text(st.characters(codec="utf-8"), min_size=1, max_size=40),
    body=st.binary(max_size=20),
    path=st.sampled_from(["/", "/lake"]),
)
def test_the_signature_of_an_object_equals_botocores(key: str, body: bytes, path: str) -> None:
    """For keys of any Unicode, dots and doubled slashes included, with and without a body."""
    credentials, host = Credentials("key", "secret", "token"), "127.0.0.1:4566"
    signer = BucketSigner(host, path, "eu-west-1")
    object_path = signer.object_path(key)
    ours = signer.headers("PUT", "", {"if-match": '"e"'}, credentials, 0.0, path=object_path, body=body)
    request = AWSRequest("PUT", f"http://{host}{object_path}", headers={"if-match": '"e"'}, data=body)
    request.context = {"payload_signing_enabled": True}
    with mock.patch("botocore.auth.get_current_datetime", return_value=datetime.fromtimestamp(0, UTC)):
        theirs = TheirCredentials("key", "secret", "token")
        S3SigV4Auth(theirs, "s3", "eu-west-1").add_auth(request)
    expected = {name.lower(): value for name, value in request.headers.items()}
    assert ours == {"host": host, **expected}


def test_a_new_day_or_secret_needs_a_new_key() -> None:
    """The cached key is valid for one day and one secret key."""
    signer = Signer("sqs.us-east-1.amazonaws.com", "us-east-1")
    today, tomorrow = Credentials("a", "secret"), 86_400.0
    first = signer.headers("t", b"", today, 0.0)["authorization"]
    assert signer.headers("t", b"", today, tomorrow)["authorization"] != first
    assert signer.headers("t", b"", Credentials("a", "other"), 0.0)["authorization"] != first
    assert signer.headers("t", b"", today, 0.0)["authorization"] == first


def test_a_secret_is_not_shown() -> None:
    """Credentials may appear in a traceback, their secrets may not."""
    shown = repr(Credentials("AKIA", "the-secret", "the-token"))
    assert "AKIA" in shown
    assert "the-" not in shown


@pytest.mark.parametrize("token", [None, "a-token"])
def test_headers_are_signed_in_alphabetical_order(token: str | None) -> None:
    """The template of the canonical request relies on their order."""
    headers = Signer("h", "r").headers("t", b"", Credentials("a", "s", token), 0.0)
    names = list(headers)[:-1]
    assert names == sorted(names)
    assert f"SignedHeaders={';'.join(names)}," in headers["authorization"]
