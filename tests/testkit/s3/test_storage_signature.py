"""The signature check by S3's rules accepts what botocore signs for S3, and nothing else."""

from __future__ import annotations

import datetime as dt
from typing import Any
from unittest import mock
from urllib.parse import quote

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from testkit.s3.errors import STORAGE_SERVICE, S3Error
from testkit.s3.keys import HOSTILE_KEYS
from testkit.signature import SignatureChecker, SignedRequest

_NOW = dt.datetime(2026, 11, 29, 9, 30, tzinfo=dt.UTC)
_keys = st.sampled_from(HOSTILE_KEYS) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00."), min_size=1, max_size=50
)
_parameters = st.dictionaries(
    st.sampled_from(["versions", "prefix", "key-marker", "version-id-marker", "max-keys"]), st.just("") | _keys
)


def _signed_by_botocore(key: str, query: dict[str, str], body: bytes, kept: str = "/~") -> SignedRequest:
    target = f"/bucket/{quote(key, safe=kept)}"
    if query:
        target += "?" + "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in query.items())
    request = AWSRequest("PUT", f"http://127.0.0.1:9000{target}", headers={"Host": "127.0.0.1:9000"}, data=body)
    signer = botocore.auth.S3SigV4Auth(Credentials("local", "local"), "s3", "us-east-1")
    with mock.patch("botocore.auth.get_current_datetime", return_value=_NOW):
        signer.add_auth(request)
    sent = {name.lower().encode(): value.encode() for name, value in request.headers.items()}
    return SignedRequest(b"PUT", target.encode(), sent, body)


@given(_keys, _parameters, st.binary(max_size=50), st.sampled_from(["/~", "", "/~*'()"]))
def test_what_botocore_signs_is_accepted(key: str, query: dict[str, str], body: bytes, kept: str) -> None:
    """Any key, parameters and body pass, however the client encodes the path."""
    request = _signed_by_botocore(key, query, body, kept)
    SignatureChecker(STORAGE_SERVICE, "local", "local").check(request, _NOW.timestamp())


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"target": b"/bucket/other?versions="}, "SignatureDoesNotMatch"),
        ({"target": b"/bucket/key?versions=&prefix=a"}, "SignatureDoesNotMatch"),
        ({"method": b"GET"}, "SignatureDoesNotMatch"),
        ({b"x-amz-content-sha256": b"0" * 64}, "SignatureDoesNotMatch"),
        ({b"authorization": b""}, "AccessDenied"),
        ({b"authorization": b"Bearer token"}, "AuthorizationHeaderMalformed"),
        ({b"x-amz-date": b"yesterday"}, "AuthorizationHeaderMalformed"),
    ],
)
def test_what_is_altered_is_rejected(change: dict[Any, bytes], code: str) -> None:
    """Path, query, method, hash of the body, and a signature that is missing or is none."""
    request = _signed_by_botocore("key", {"versions": ""}, b"")
    headers = {**request.headers, **{name: value for name, value in change.items() if isinstance(name, bytes)}}
    altered = SignedRequest(
        change.get("method", request.method), change.get("target", request.target), headers, request.body
    )
    with pytest.raises(S3Error) as raised:
        SignatureChecker(STORAGE_SERVICE, "local", "local").check(altered, _NOW.timestamp())
    assert raised.value.code == code


@pytest.mark.parametrize("seconds", [-901, 901])
def test_a_skewed_clock_has_its_own_error(seconds: int) -> None:
    """S3 names a clock that is more than 15 minutes off."""
    request = _signed_by_botocore("key", {}, b"")
    with pytest.raises(S3Error) as raised:
        SignatureChecker(STORAGE_SERVICE, "local", "local").check(request, _NOW.timestamp() + seconds)
    assert (raised.value.status, raised.value.code) == (403, "RequestTimeTooSkewed")
