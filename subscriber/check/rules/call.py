"""What a call to AWS that failed means: from the service's word to a sentence that says who has to do what."""

from __future__ import annotations

from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from subscriber.check.rules.finding import Finding
from subscriber.check.rules.queue import queue_subject
from subscriber.errors import ExitCode, QueueCallError

_UNKNOWN_TO_AWS = frozenset(
    {
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
        "ExpiredToken",
        "ExpiredTokenException",
    }
)
"""The credentials themselves are refused (IAM user guide, "Troubleshooting Signature Version 4 errors")."""


_Family: TypeAlias = Literal["absent", "key", "denied", "nobody", "unknown", "refused", "unreachable"]


class Caller(msgspec.Struct, frozen=True):
    """Who AWS says we are."""

    arn: str
    account: str


def account_of(queue: str) -> str:
    """The account in the URL of a queue; empty where there is none."""
    first = urlsplit(queue).path.strip("/").partition("/")[0]
    return first if first.isdigit() and len(first) == 12 else ""


def is_denied(code: str) -> bool:
    """Whether a policy says no."""
    return code in {"AccessDenied", "AccessDeniedException"}


def call_finding(
    queue: str, action: str, error: QueueCallError, *, key: str = "", caller: Caller | None = None
) -> Finding:
    """What is wrong where a call about `queue` failed.

    Args:
        queue: its URL.
        action: as IAM names it, such as sqs:ReceiveMessage.
        error: what came of the call.
        key: with what the queue is encrypted, as far as that is known.
        caller: who was refused, as far as that is known.
    """
    problem, remedy = _words(action, error, key)
    stranger = _cross_account_hint(queue, caller)
    return Finding("error", ExitCode.QUEUE, queue_subject(queue), problem, f"{remedy}{stranger}")


def _words(action: str, error: QueueCallError, key: str) -> tuple[str, str]:
    """Problem and remedy."""
    said = f"{error.code}: {error.detail}"
    words: dict[_Family, tuple[str, str]] = {
        "absent": ("does not exist in this account and region", "correct SUBSCRIBER_QUEUE_URLS or AWS_REGION"),
        "key": (
            f"is encrypted and {action} may not use its key ({said})",
            f"let the role do kms:Decrypt with the key {key}, in its policy and in the key's",
        ),
        "denied": (f"access denied to {action} ({error.detail})", f"let the role do {action} on this queue"),
        "nobody": (
            "no AWS credentials were found in the environment, profile or container role",
            "give the task a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ),
        "unknown": (
            f"AWS does not accept the credentials ({said})",
            "correct the access key and the secret, or let the role renew them",
        ),
        "refused": (f"{action} is refused ({said})", "look the code up in the SQS API reference"),
        "unreachable": (
            f"cannot be asked ({said})",
            "check URL, AWS_ENDPOINT_URL_SQS, DNS, the security group, and that a NAT or VPC endpoint leads to SQS",
        ),
    }
    return words[_family(error)]


def _family(error: QueueCallError) -> _Family:
    code = error.code
    families: tuple[tuple[_Family, bool], ...] = (
        ("absent", code in {"QueueDoesNotExist", "InvalidAddress"}),
        ("key", code.lower().startswith("kms")),
        ("denied", is_denied(code)),
        ("nobody", code == "NoCredentials"),
        ("unknown", code in _UNKNOWN_TO_AWS),
        ("refused", error.is_permanent),
    )
    return next((family for family, is_it in families if is_it), "unreachable")


def _cross_account_hint(queue: str, caller: Caller | None) -> str:
    owner = account_of(queue)
    if caller is None or not owner or owner == caller.account:
        return f"; you are {caller.arn}" if caller is not None else ""
    return (
        f"; the queue is of account {owner} and you are {caller.arn} of account {caller.account}: in a queue of "
        "another account the queue's own policy must allow it too"
    )
