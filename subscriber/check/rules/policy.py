"""Rules about a queue's policy: which services may send to it, and for which buckets. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from subscriber.check.rules.finding import Finding
from subscriber.check.rules.queue import queue_subject
from subscriber.errors import ExitCode

_SENDERS = frozenset({"s3.amazonaws.com", "sns.amazonaws.com", "events.amazonaws.com"})
_SENDING = frozenset({"sqs:sendmessage", "sqs:*", "*"})


def sender_findings(queue: str, policy: str | None) -> Iterator[Finding]:
    """A warning if the policy allows none of the services that deliver S3 events to send."""
    if any(_services(statement) & _SENDERS for statement in _sending(policy)):
        return
    yield Finding(
        "warning",
        ExitCode.QUEUE,
        queue_subject(queue),
        "has no policy that allows S3, SNS or EventBridge to send to it",
        "allow s3.amazonaws.com sqs:SendMessage, with conditions on aws:SourceArn (the bucket) and aws:SourceAccount",
    )


def buckets_in(policy: str | None) -> set[str]:
    """Names of the buckets that may send, if conditions on aws:SourceArn name them without wildcards."""
    arns = (arn for statement in _sending(policy) for arn in _source_arns(statement))
    names = (arn.rpartition(":::")[2] for arn in arns if arn.startswith("arn:") and ":s3:::" in arn)
    return {name for name in names if name and not set("*?/$") & set(name)}


def _sending(policy: str | None) -> Iterator[Mapping[str, Any]]:
    try:
        statements = json.loads(policy or "{}").get("Statement", [])
    except (ValueError, AttributeError):
        return
    for statement in statements if isinstance(statements, list) else [statements]:
        if not isinstance(statement, dict) or statement.get("Effect") != "Allow":
            continue
        if _SENDING & {action.lower() for action in _texts(statement.get("Action"))}:
            yield statement


def _services(statement: Mapping[str, Any]) -> set[str]:
    principal = statement.get("Principal")
    if principal == "*" or (isinstance(principal, dict) and "*" in _texts(principal.get("AWS"))):
        return set(_SENDERS)  # everybody, before conditions
    return set(_texts(principal.get("Service"))) if isinstance(principal, dict) else set()


def _source_arns(statement: Mapping[str, Any]) -> Iterator[str]:
    conditions = statement.get("Condition")
    for operands in conditions.values() if isinstance(conditions, dict) else ():
        for name, value in operands.items() if isinstance(operands, dict) else ():
            if name.lower() == "aws:sourcearn":
                yield from _texts(value)


def _texts(value: object) -> list[str]:
    """The strings of a value: IAM policies allow one string or a list."""
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]
