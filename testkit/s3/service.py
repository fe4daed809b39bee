"""Turns a request into its answer, without HTTP: bucket and key, signature, operation.

Both forms of address are understood: `/bucket/key` (path style), and `bucket.s3.…` in the header Host (virtual host).
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

import msgspec

from testkit.s3 import errors
from testkit.s3.buckets import Bucket, Buckets
from testkit.s3.changing import ChangingBucket, ObjectChanged, ObjectChanges
from testkit.s3.faults import Counts, Fault, Faults, Tally
from testkit.s3.listing import make_empty_page, make_page, page_body, read_request
from testkit.s3.live import MAX_OBJECT_BYTES
from testkit.s3.operations import Answer, Call, object_operations
from testkit.signature import SignatureChecker, SignedRequest

ADMIN_HEADER: Final = b"x-amz-target"
_REGION = re.compile(rb"Credential=[^/]+/[^/]*/([^/]+)/s3/")
_UNHASHED: Final = (None, b"UNSIGNED-PAYLOAD")

Act: TypeAlias = Callable[[Call], Answer]


class Service:
    """The storage service without HTTP."""

    def __init__(self, buckets: Buckets, checker: SignatureChecker, clock: Callable[[], float] = time.time) -> None:
        self.buckets = buckets
        self.faults = Faults()
        self.tally = Tally()
        self.clock = clock
        """Unix seconds for the header Date, not for signatures."""
        self._checker = checker
        self._operations: dict[str, Act] = {
            **object_operations(buckets),
            "ListObjectVersions": self._list,
            "ListObjectsV2": self._list,
        }
        self._admin = AdminOperations(self)

    def answer(self, request: SignedRequest) -> tuple[Answer, Fault | None]:
        """The answer and what is to go wrong with it; errors are answers too."""
        operation = "Unknown"
        try:
            call = self._call(request)
            operation = operation_of(call)
            if operation == "Admin":
                return self._admin.answer(request), None
            fault = self.faults.take(operation)
            _fail(fault)
            return self._admitted(msgspec.structs.replace(call, fault=fault), operation), fault
        except errors.S3Error as error:
            return self._error(error, request), None
        finally:
            self.tally.requests[operation] += 1

    def counts(self) -> Counts:
        """What was done since the start."""
        return Counts(dict(self.tally.requests), self.tally.body_bytes, time.process_time())

    def _call(self, request: SignedRequest) -> Call:
        if len(request.body) > MAX_OBJECT_BYTES:  # it may not be whole, so that its hash tells nothing
            raise errors.S3Error(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
        self._checker.check(request, time.time())
        digest = request.headers.get(b"x-amz-content-sha256")
        if digest is None and ADMIN_HEADER not in request.headers:
            message = "Missing required header for this request: x-amz-content-sha256"
            raise errors.S3Error(400, "InvalidRequest", message)
        if digest not in _UNHASHED and digest != hashlib.sha256(request.body).hexdigest().encode():
            message = "The provided 'x-amz-content-sha256' header does not match what was computed."
            raise errors.S3Error(400, "XAmzContentSHA256Mismatch", message)
        return read_call(request)

    def _admitted(self, call: Call, operation: str) -> Answer:
        """The operation, if its bucket lets the caller in."""
        act = self._operations.get(operation)
        if act is None:
            raise errors.not_implemented(operation)
        if operation == "CreateBucket":
            return act(call)
        bucket = self.buckets.find(call.bucket)
        check_region(bucket, self.buckets.region, _signed_region(call.request))
        if bucket.is_requester_paid and call.request.headers.get(b"x-amz-request-payer") != b"requester":
            raise errors.access_denied()
        owner = call.request.headers.get(b"x-amz-expected-bucket-owner")
        if owner is not None and owner != self.buckets.account_id.encode():
            raise errors.access_denied()
        answer = act(call)
        answer.headers["x-amz-bucket-region"] = bucket.region
        return answer

    def _list(self, call: Call) -> Answer:
        bucket = self.buckets.find(call.bucket)
        request = read_request(call.bucket, call.query)
        if call.fault and call.fault.kind == "empty_page" and not request.form.is_versions:
            page = make_empty_page(bucket.contents, request)
        else:
            page = make_page(bucket.contents, request, bucket.page_size)
        return Answer(200, page_body(page, request), {"Content-Type": "application/xml"}, is_chunked=True)

    def _error(self, error: errors.S3Error, request: SignedRequest) -> Answer:
        # An answer to HEAD has no body, so the status is all that its client learns.
        body = b"" if request.method == b"HEAD" else error.body("0")
        return Answer(error.status, body, {"Content-Type": "application/xml", **error.headers})


class AdminOperations:
    """Operations that the real service lacks, for tests in another process. They are signed like all others."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def answer(self, request: SignedRequest) -> Answer:
        """Carry out what the header x-amz-target names, with the arguments in the body as JSON."""
        name = request.headers[ADMIN_HEADER].decode("latin-1")
        try:
            made = self._changed(request.body) if name == "ChangeObjects" else self._act(name, request.body)
        except msgspec.MsgspecError as error:
            raise errors.S3Error(400, "MalformedRequest", str(error)) from error
        return Answer(200, msgspec.json.encode(made), {"Content-Type": "application/json"})

    def _changed(self, body: bytes) -> list[ObjectChanged]:
        """Many changes of a changing bucket at once, as S3 takes them from many clients."""
        asked = msgspec.json.decode(body, type=ObjectChanges)
        contents = self._service.buckets.find(asked.bucket).contents
        if not isinstance(contents, ChangingBucket):
            raise errors.not_implemented("ChangeObjects in a bucket that is not a changing one")
        return [contents.change(change) for change in asked.changes]

    def _act(self, name: str, body: bytes) -> Counts:
        if name == "AddFaults":
            self._service.faults.add(msgspec.json.decode(body, type=list[Fault]))
        elif name == "ClearFaults":
            self._service.faults.clear()
        elif name == "AddBucket":
            self._service.buckets.add_spec(body)
        elif name != "Counts":
            raise errors.not_implemented(name)
        return self._service.counts()


def read_call(request: SignedRequest) -> Call:
    """Bucket, key and parameters of a request.

    Raises:
        errors.S3Error: path or query are no UTF-8.
    """
    path, _, query = request.target.partition(b"?")
    host = request.headers.get(b"host", b"").decode("latin-1").partition(":")[0]
    bucket, rest = "", path.removeprefix(b"/")
    if (virtual := _virtual_bucket(host)) is not None:
        bucket = virtual
    else:
        first, _, rest = rest.partition(b"/")
        bucket = _decoded(first)
    pairs = [part.partition(b"=")[::2] for part in query.split(b"&") if part]
    parameters = {_decoded(name): _decoded(value) for name, value in pairs}
    return Call(request, bucket, _decoded(rest), parameters)


def operation_of(call: Call) -> str:
    """The name of the operation, as the API reference has it."""
    method, query = call.request.method.decode("latin-1"), call.query
    if ADMIN_HEADER in call.request.headers:
        return "Admin"
    if call.key:
        return {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}.get(
            method, f"{method} of an object"
        )
    for name, meaning in _SUBRESOURCES.items():
        if name in query:
            return meaning.get(method, f"{method} ?{name}")
    if method == "GET":
        return "ListObjectsV2" if query.get("list-type") == "2" else "ListObjects"
    return {"HEAD": "HeadBucket", "PUT": "CreateBucket"}.get(method, f"{method} of a bucket")


_SUBRESOURCES: Final = {
    "versions": {"GET": "ListObjectVersions"},
    "versioning": {"GET": "GetBucketVersioning", "PUT": "PutBucketVersioning"},
    "notification": {"GET": "GetBucketNotificationConfiguration", "PUT": "PutBucketNotificationConfiguration"},
    "location": {"GET": "GetBucketLocation"},
}


def check_region(bucket: Bucket, endpoint_region: str, signed_region: str) -> None:
    """Let a request through that is signed for the bucket's region.

    One server stands for the endpoints of all regions: who asks for a bucket of another region is redirected, and who
    follows the redirection comes back with another region in the signature.

    Raises:
        errors.S3Error: PermanentRedirect, or AuthorizationHeaderMalformed for a region that is neither.
    """
    if signed_region == bucket.region:
        return
    if signed_region == endpoint_region:
        raise errors.permanent_redirect(bucket.name, bucket.region)
    raise errors.wrong_region(signed_region, bucket.region)


def _signed_region(request: SignedRequest) -> str:
    found = _REGION.search(request.headers.get(b"authorization", b""))
    return found[1].decode("latin-1") if found else ""


def _virtual_bucket(host: str) -> str | None:
    bucket, found, _ = host.partition(".s3.")
    return bucket if found else None


def _decoded(text: bytes) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise errors.S3Error(400, "InvalidURI", "Couldn't parse the specified URI.") from None


def _fail(fault: Fault | None) -> None:
    if fault is None:
        return
    if fault.kind == "slow_down":
        error = errors.slow_down()
        if fault.retry_after_seconds is not None:
            error.headers["Retry-After"] = str(fault.retry_after_seconds)
        raise error
    if fault.kind == "internal_error":
        raise errors.internal_error()
    if fault.kind == "access_denied":
        raise errors.access_denied()
