"""What an answer that is not 200 means: S3's code, whether it may pass, how long to wait. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from subscriber.adapters.aws.http_connection import HttpResponse
from subscriber.adapters.aws.session import RETRY_AFTER, first_line, retry_after_seconds
from subscriber.adapters.s3.xml_strict import read_fault
from subscriber.errors import AwsErrorKind, ListingError, aws_error_kind

THROTTLED_CODES = frozenset(
    {"SlowDown", "ServiceUnavailable", "Throttled", "Throttling", "ThrottlingException", "RequestLimitExceeded",
     "TooManyRequests", "Http503"}
)  # fmt: skip
"""S3 throttles with 503 ("List of error codes", S3 API reference); other stores and gateways also use 429."""

_TEMPORARY = THROTTLED_CODES | {"RequestTimeout", "OperationAborted", "Http408", "Http409", "Http425"}
"""Codes of an answer below 500 that may pass all the same."""
_CODES_WITHOUT_CONTENT: Mapping[int, str] = {403: "AccessDenied", 404: "NoSuchBucket", 429: "Throttled"}
"""A HEAD tells its error by the status alone."""
_REGION_HEADER = "x-amz-bucket-region"
_SERVER_FAULT = 500
_RETRY_AFTER = "Retry-After"
_ADVICE: Mapping[AwsErrorKind, str] = {
    AwsErrorKind.NOT_FOUND: "check the bucket's name, and AWS_REGION or AWS_ENDPOINT_URL",
}
LISTING_RIGHTS = "the role needs s3:ListBucket, and s3:ListBucketVersions for versions"


def region_in(response: HttpResponse) -> str:
    """The region that the answer names for the bucket; empty if it names none.

    S3 answers 301 PermanentRedirect, 307 TemporaryRedirect or 400 AuthorizationHeaderMalformed, with the region in a
    header, in the content, or in both.
    """
    return response.header(_REGION_HEADER) or read_fault(response.content).get("Region", "")


def fault_of(response: HttpResponse, rights: str = LISTING_RIGHTS) -> ListingError:
    """The error of an answer that is no success; `rights` says what a role needs that was denied."""
    fault = read_fault(response.content)
    code = fault.get("Code") or _CODES_WITHOUT_CONTENT.get(response.status) or f"Http{response.status}"
    kind = aws_error_kind(code)
    is_temporary = response.status >= _SERVER_FAULT or code in _TEMPORARY
    passes = is_temporary or kind in {AwsErrorKind.CLOCK_SKEW, AwsErrorKind.EXPIRED_CREDENTIALS, AwsErrorKind.THROTTLED}
    asked_seconds = retry_after_seconds(response.header(RETRY_AFTER)) or _whole_seconds(response.header(_RETRY_AFTER))
    detail = first_line(fault.get("Message", "")) or f"status {response.status}"
    region = region_in(response)
    if response.status in {301, 307} or code == "AuthorizationHeaderMalformed":
        detail += f"; set AWS_REGION to {region or 'the region of the bucket'}"
    elif advice := rights if kind is AwsErrorKind.DENIED else _ADVICE.get(kind):
        detail += f" ({advice})"
    return ListingError(code, detail, is_permanent=not passes, retry_after_seconds=asked_seconds)


def _whole_seconds(header: str) -> float:
    """`Retry-After` in seconds; 0 where it is absent or a date."""
    return retry_after_seconds(f"{header}000") if header else 0.0
