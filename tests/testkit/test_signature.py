"""The emulator's signature check accepts what botocore signs, and nothing else."""

from __future__ import annotations

import datetime as dt
from typing import Any
from unittest import mock

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from testkit.signature import (
    TOLERANCE_SECONDS,
    SignatureChecker,
    SignedRequest,
    amz_date,
    sign,
)
from testkit.sqs import errors
from testkit.sqs.signature import QUEUE_SERVICE

_FORM = "AWS4-HMAC-SHA256 Credential={}/20260101/us-east-1/{}/aws4_request, SignedHeaders=host;x-amz-date, Signature=00"
_words = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=20)
_regions = st.sampled_from(["us-east-1", "eu-central-1", "ap-southeast-3"])
_moments = st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2090, 1, 1))  # noqa: DTZ001 - given a zone below
_paths = st.sampled_from(["/", "/000000000000/a-queue", "/with%20blank/x", "/?b=2&a=1"])


def _signed_by_botocore(
    access_key: str, secret_key: str, region: str, moment: dt.datetime, path: str, body: bytes
) -> SignedRequest:
    headers = {
        "Host": "127.0.0.1:9324",
        "X-Amz-Target": "AmazonSQS.SendMessage",
        "Content-Type": "application/x-amz-json-1.0",
        "X-Odd": "  two   blanks ",
        "User-Agent": "not signed",
    }
    request = AWSRequest("POST", f"http://127.0.0.1:9324{path}", headers=headers, data=body)
    signer = botocore.auth.SigV4Auth(Credentials(access_key, secret_key), "sqs", region)
    with mock.patch("botocore.auth.get_current_datetime", return_value=moment):
        signer.add_auth(request)
    sent = {name.lower().encode(): value.encode() for name, value in request.headers.items()}
    return SignedRequest(b"POST", path.encode(), sent, body)


@st.composite
def _signed(draw: st.DrawFn) -> tuple[SignedRequest, SignatureChecker, float]:
    access_key, secret_key = draw(_words), draw(_words)
    moment = draw(_moments).replace(microsecond=0, tzinfo=dt.UTC)
    request = _signed_by_botocore(
        access_key, secret_key, draw(_regions), moment, draw(_paths), draw(st.binary(max_size=200))
    )
    return request, SignatureChecker(QUEUE_SERVICE, access_key, secret_key), moment.timestamp()


@given(_signed(), st.integers(-TOLERANCE_SECONDS, TOLERANCE_SECONDS))
def test_what_botocore_signs_is_accepted(
    signed: tuple[SignedRequest, SignatureChecker, float], skew_seconds: int
) -> None:
    """Any body, time, region and credentials pass, with a clock skew of up to 15 minutes."""
    request, checker, moment = signed
    checker.check(request, moment + skew_seconds)


@given(_signed(), st.data())
def test_any_altered_byte_is_rejected(
    signed: tuple[SignedRequest, SignatureChecker, float], data: st.DataObject
) -> None:
    """One changed byte in the body, a signed header, the path, the method or the signature is enough."""
    request, checker, moment = signed
    headers = ["host", "x-amz-date", "x-amz-target", "content-type", "x-odd", "authorization"]
    parts = ["method", "target", *(["body"] if request.body else []), *headers]
    part = data.draw(st.sampled_from(parts))
    old: bytes = request.headers[part.encode()] if part in headers else getattr(request, part)
    at = data.draw(st.integers(0, len(old) - 1))
    byte = data.draw(st.integers(33, 126).filter(lambda value: value != old[at]))
    new = old[:at] + bytes([byte]) + old[at + 1 :]
    fields: dict[str, Any] = {name: getattr(request, name) for name in ("method", "target", "headers", "body")}
    if part in headers:
        fields["headers"] = {**request.headers, part.encode(): new}
    else:
        fields[part] = new
    with pytest.raises(errors.RejectedError):
        checker.check(SignedRequest(**fields), moment)


@given(_signed(), st.integers(1, 10**6), st.sampled_from([-1, 1]))
def test_a_skewed_clock_is_rejected(
    signed: tuple[SignedRequest, SignatureChecker, float], beyond_seconds: int, side: int
) -> None:
    """A signature more than 15 minutes old or ahead is rejected, and the error says by how much."""
    request, checker, moment = signed
    with pytest.raises(errors.RejectedError, match=r"Signature (expired|not yet current)") as raised:
        checker.check(request, moment + side * (TOLERANCE_SECONDS + beyond_seconds))
    assert raised.value.fault == errors.SIGNATURE_DOES_NOT_MATCH


@pytest.mark.parametrize(
    ("authorization", "fault"),
    [
        ("", errors.UNSIGNED_REQUEST),
        ("Bearer token", errors.INCOMPLETE_SIGNATURE),
        ("AWS4-HMAC-SHA256 Credential=local, SignedHeaders=host, Signature=00", errors.INCOMPLETE_SIGNATURE),
        (_FORM.format("nobody", "sqs"), errors.UNKNOWN_ACCESS_KEY),
        (_FORM.format("local", "s3"), errors.SIGNATURE_DOES_NOT_MATCH),
    ],
)
def test_an_invalid_authorization_has_its_own_fault(authorization: str, fault: errors.Fault) -> None:
    """A missing signature, an incomplete one, an unknown key and another service are different faults."""
    headers = {b"host": b"h", b"x-amz-date": b"20260101T000000Z", b"authorization": authorization.encode()}
    with pytest.raises(errors.RejectedError) as raised:
        SignatureChecker(QUEUE_SERVICE, "local", "local").check(
            SignedRequest(b"POST", b"/", headers, b""), 1_767_225_600.0
        )
    assert raised.value.fault == fault


def test_an_unsigned_amz_header_is_rejected() -> None:
    """The signature must cover every x-amz header."""
    headers = {b"host": b"h", b"x-amz-date": amz_date(1_767_225_600.0).encode()}
    authorization = sign(
        QUEUE_SERVICE, SignedRequest(b"POST", b"/", headers, b""), "local", "local", "us-east-1"
    ).encode()
    checker = SignatureChecker(QUEUE_SERVICE, "local", "local")
    signed = {**headers, b"authorization": authorization}
    checker.check(SignedRequest(b"POST", b"/", signed, b""), 1_767_225_600.0)
    smuggled = {**signed, b"x-amz-target": b"AmazonSQS.PurgeQueue"}
    with pytest.raises(errors.RejectedError, match="x-amz-target"):
        checker.check(SignedRequest(b"POST", b"/", smuggled, b""), 1_767_225_600.0)
