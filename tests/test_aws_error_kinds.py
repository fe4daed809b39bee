"""What AWS error codes mean: one table for every adapter, stage and check."""

from __future__ import annotations

import pytest

from subscriber.errors import AWS_ERROR_KINDS, AwsErrorKind, aws_error_kind

PERMANENT = {
    "AccessDenied": AwsErrorKind.DENIED,
    "AccessDeniedException": AwsErrorKind.DENIED,
    "AuthFailure": AwsErrorKind.DENIED,
    "NotAuthorizedException": AwsErrorKind.DENIED,
    "UnauthorizedOperation": AwsErrorKind.DENIED,
    "NoCredentials": AwsErrorKind.NO_CREDENTIALS,
    "InvalidAccessKeyId": AwsErrorKind.BAD_CREDENTIALS,
    "InvalidClientTokenId": AwsErrorKind.BAD_CREDENTIALS,
    "MissingAuthenticationToken": AwsErrorKind.BAD_CREDENTIALS,
    "UnrecognizedClientException": AwsErrorKind.BAD_CREDENTIALS,
    "IncompleteSignature": AwsErrorKind.BAD_SIGNATURE,
    "InvalidSignatureException": AwsErrorKind.BAD_SIGNATURE,
    "SignatureDoesNotMatch": AwsErrorKind.BAD_SIGNATURE,
    "InvalidAddress": AwsErrorKind.NO_QUEUE,
    "QueueDoesNotExist": AwsErrorKind.NO_QUEUE,
    "ClusterNotFoundException": AwsErrorKind.NOT_FOUND,
    "NoSuchBucket": AwsErrorKind.NOT_FOUND,
    "ResourceNotFoundException": AwsErrorKind.NOT_FOUND,
    "DecryptionFailure": AwsErrorKind.KEY,
    "KmsAccessDenied": AwsErrorKind.KEY,
    "KmsDisabled": AwsErrorKind.KEY,
    "KmsNotFound": AwsErrorKind.KEY,
    "InvalidParameterException": AwsErrorKind.INVALID_REQUEST,
    "InvalidRequestException": AwsErrorKind.INVALID_REQUEST,
    "InvalidSecurity": AwsErrorKind.INVALID_REQUEST,
    "TASK_NOT_VALID": AwsErrorKind.INVALID_REQUEST,
    "UnsupportedFeatureException": AwsErrorKind.INVALID_REQUEST,
    "ValidationException": AwsErrorKind.INVALID_REQUEST,
}
TEMPORARY = {
    "ExpiredToken": AwsErrorKind.EXPIRED_CREDENTIALS,
    "ExpiredTokenException": AwsErrorKind.EXPIRED_CREDENTIALS,
    "RequestExpired": AwsErrorKind.CLOCK_SKEW,
    "RequestInTheFuture": AwsErrorKind.CLOCK_SKEW,
    "RequestTimeTooSkewed": AwsErrorKind.CLOCK_SKEW,
    "KmsInvalidKeyUsage": AwsErrorKind.KEY_UNAVAILABLE,
    "KmsInvalidState": AwsErrorKind.KEY_UNAVAILABLE,
    "KmsOptInRequired": AwsErrorKind.KEY_UNAVAILABLE,
    "KmsThrottled": AwsErrorKind.KEY_UNAVAILABLE,
    "InvalidParameterValue": AwsErrorKind.GONE_HANDLE,
    "MessageNotInflight": AwsErrorKind.GONE_HANDLE,
    "ReceiptHandleIsInvalid": AwsErrorKind.GONE_HANDLE,
    "Throttled": AwsErrorKind.THROTTLED,
    "ThrottlingException": AwsErrorKind.THROTTLED,
}


def test_the_table_is_complete() -> None:
    """Every code has the kind that is written down here, and no other code is in the table."""
    assert dict(AWS_ERROR_KINDS) == PERMANENT | TEMPORARY


@pytest.mark.parametrize("code", PERMANENT)
def test_a_permanent_error_stays(code: str) -> None:
    """Somebody has to change something before the same call can succeed."""
    assert aws_error_kind(code).is_permanent


@pytest.mark.parametrize("code", [*TEMPORARY, "InternalError", "EndpointConnection", "Timeout", ""])
def test_a_temporary_error_may_pass(code: str) -> None:
    """Network failures and codes that are not in the table included."""
    assert not aws_error_kind(code).is_permanent


@pytest.mark.parametrize(
    ("code", "kind"),
    [("KmsSomethingNew", AwsErrorKind.KEY_UNAVAILABLE), ("SomethingNew", AwsErrorKind.OTHER), ("", AwsErrorKind.OTHER)],
)
def test_an_unknown_code(code: str, kind: AwsErrorKind) -> None:
    """It is temporary; the prefix of a KMS code still says that a key is the cause."""
    assert aws_error_kind(code) is kind


def test_questions_about_a_kind() -> None:
    """Which kinds speak of the credentials, and after which the clock is compared with AWS's."""
    assert {kind for kind in AwsErrorKind if kind.concerns_credentials} == {
        AwsErrorKind.BAD_CREDENTIALS,
        AwsErrorKind.BAD_SIGNATURE,
        AwsErrorKind.EXPIRED_CREDENTIALS,
    }
    assert {kind for kind in AwsErrorKind if kind.suggests_clock_skew} == {
        AwsErrorKind.CLOCK_SKEW,
        AwsErrorKind.BAD_SIGNATURE,
    }
