"""S3's error responses: status, code and message, as its API reference lists them ("Error responses")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from xml.sax.saxutils import escape

from testkit.signature import Refusals, SignedService

HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'


class S3Error(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, code: str, message: str, **fields: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields
        """Further elements of the body."""
        self.headers: dict[str, str] = {}

    def body(self, request_id: str) -> bytes:
        """The response in S3's XML."""
        elements = {
            "Code": self.code,
            "Message": self.message,
            **self.fields,
            "RequestId": request_id,
            "HostId": "host",
        }
        inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in elements.items())
        return f"{HEAD}<Error>{inner}</Error>".encode()


def no_such_bucket(name: str) -> S3Error:
    """There is no bucket of this name."""
    return S3Error(404, "NoSuchBucket", "The specified bucket does not exist", BucketName=name)


def no_such_key(key: str) -> S3Error:
    """The key has no object, or a delete marker is its newest version."""
    return S3Error(404, "NoSuchKey", "The specified key does not exist.", Key=key)


def no_such_version(key: str, version_id: str) -> S3Error:
    """The key has no such version."""
    return S3Error(404, "NoSuchVersion", "The specified version does not exist.", Key=key, VersionId=version_id)


def precondition_failed() -> S3Error:
    """The object is not the one that If-Match names."""
    message = "At least one of the pre-conditions you specified did not hold"
    return S3Error(412, "PreconditionFailed", message, Condition="If-Match")


def invalid_range(wanted: str, size_bytes: int) -> S3Error:
    """The object has no byte of the range; an empty object has none at all."""
    message = "The requested range is not satisfiable"
    return S3Error(416, "InvalidRange", message, RangeRequested=wanted, ActualObjectSize=str(size_bytes))


def access_denied() -> S3Error:
    """No policy allows the request."""
    return S3Error(403, "AccessDenied", "Access Denied")


def invalid_argument(message: str, name: str, value: str) -> S3Error:
    """A parameter has a value that S3 does not take."""
    return S3Error(400, "InvalidArgument", message, ArgumentName=name, ArgumentValue=value)


def slow_down() -> S3Error:
    """Too many requests."""
    return S3Error(503, "SlowDown", "Please reduce your request rate.")


def internal_error() -> S3Error:
    """S3 failed; ask again."""
    return S3Error(500, "InternalError", "We encountered an internal error. Please try again.")


def not_implemented(what: str) -> S3Error:
    """The listing server lacks what S3 has."""
    return S3Error(501, "NotImplemented", f"The listing server does not implement {what}.")


def permanent_redirect(bucket: str, region: str) -> S3Error:
    """The bucket is in another region than the endpoint; the header names it."""
    error = S3Error(
        301,
        "PermanentRedirect",
        "The bucket you are attempting to access must be addressed using the specified endpoint. "
        "Please send all future requests to this endpoint.",
        Endpoint=f"{bucket}.s3.{region}.amazonaws.com",
        Bucket=bucket,
    )
    error.headers["x-amz-bucket-region"] = region
    return error


def wrong_region(signed: str, expected: str) -> S3Error:
    """The signature names a region that is neither the endpoint's nor the bucket's."""
    message = f"The authorization header is malformed; the region '{signed}' is wrong; expecting '{expected}'"
    return S3Error(400, "AuthorizationHeaderMalformed", message, Region=expected)


def _refusal(status: int, code: str) -> Callable[[str], Exception]:
    return lambda message: S3Error(status, code, message)


STORAGE_SERVICE: Final = SignedService(
    "s3",
    Refusals(
        missing=lambda _message: access_denied(),
        incomplete=_refusal(400, "AuthorizationHeaderMalformed"),
        unknown_key=lambda _message: S3Error(
            403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."
        ),
        expired=_refusal(400, "ExpiredToken"),
        wrong_scope=_refusal(400, "AuthorizationHeaderMalformed"),
        mismatch=_refusal(403, "SignatureDoesNotMatch"),
        skewed=lambda _message: S3Error(
            403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."
        ),
    ),
    is_storage=True,
)
"""How S3 verifies signatures and names what it refuses."""
