"""Rules about failed AWS calls: from an error code to a problem and its remedy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from subscriber.check.rules.finding import Finding
from subscriber.check.rules.queue import queue_subject
from subscriber.errors import NO_CREDENTIALS_REMEDY, AwsErrorKind, ExitCode, QueueCallError, aws_error_kind
from subscriber.queue_url import account_of

_Cause: TypeAlias = Literal["no_queue", "key", "denied", "no_credentials", "credentials", "rejected", "unreachable"]


class Caller(msgspec.Struct, frozen=True):
    """Our identity at AWS (sts:GetCallerIdentity)."""

    arn: str
    account: str


_CAUSES: Mapping[AwsErrorKind, _Cause] = {
    AwsErrorKind.NO_QUEUE: "no_queue",
    AwsErrorKind.KEY: "key",
    AwsErrorKind.KEY_UNAVAILABLE: "key",
    AwsErrorKind.DENIED: "denied",
    AwsErrorKind.NO_CREDENTIALS: "no_credentials",
}


def call_finding(
    queue: str, action: str, error: QueueCallError, *, key: str = "", caller: Caller | None = None
) -> Finding:
    """The finding for a failed call about `queue`.

    Args:
        queue: its URL.
        action: the IAM action, such as sqs:ReceiveMessage.
        error: of the call.
        key: the KMS key of the queue; empty if unknown.
        caller: our identity; None if unknown.
    """
    problem, remedy = _problem_and_remedy(action, error, key)
    hint = _cross_account_hint(queue, caller)
    return Finding("error", ExitCode.QUEUE, queue_subject(queue), problem, f"{remedy}{hint}")


def _problem_and_remedy(action: str, error: QueueCallError, key: str) -> tuple[str, str]:
    message = f"{error.code}: {error.detail}"
    texts: dict[_Cause, tuple[str, str]] = {
        "no_queue": ("does not exist in this account and region", "correct SUBSCRIBER_QUEUE_URLS or AWS_REGION"),
        "key": (
            f"is encrypted and {action} may not use its key ({message})",
            f"allow the role kms:Decrypt with the key {key}, in the role's policy and in the key's",
        ),
        "denied": (f"access denied to {action} ({error.detail})", f"allow the role {action} on this queue"),
        "no_credentials": (
            "no AWS credentials were found in the environment, profile or container role",
            NO_CREDENTIALS_REMEDY,
        ),
        "credentials": (
            f"AWS does not accept the credentials ({message})",
            "correct the access key and the secret key, or wait until the role has renewed them",
        ),
        "rejected": (f"{action} is rejected ({message})", "see the error code in the SQS API reference"),
        "unreachable": (
            f"cannot be reached ({message})",
            "check URL, AWS_ENDPOINT_URL_SQS, DNS, the security group, and that a NAT or VPC endpoint leads to SQS",
        ),
    }
    return texts[_cause(error)]


def _cause(error: QueueCallError) -> _Cause:
    kind = aws_error_kind(error.code)
    if kind.concerns_credentials:
        return "credentials"
    return _CAUSES.get(kind, "rejected" if error.is_permanent else "unreachable")


def _cross_account_hint(queue: str, caller: Caller | None) -> str:
    owner = account_of(queue)
    if caller is None or not owner or owner == caller.account:
        return f"; you are {caller.arn}" if caller is not None else ""
    return (
        f"; the queue belongs to account {owner} and you are {caller.arn} of account {caller.account}: for another "
        "account, the queue's own policy must allow it too"
    )
