"""What a bucket tells our queues, and what it keeps to itself. Pure.

An index is right only if every kind of event that makes or removes an object arrives, and for the same keys. What is
created and not told is missing; what is removed and not told stays as a ghost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from subscriber.check.rules.call import is_denied
from subscriber.check.rules.finding import Finding, Severity
from subscriber.errors import ExitCode


class Family(NamedTuple):
    """Event names that are subscribed together, and what their absence does."""

    name: str
    members: tuple[str, ...]
    without: str


CREATED = Family(
    "s3:ObjectCreated",
    ("Put", "Post", "Copy", "CompleteMultipartUpload"),
    "objects that are made this way are missing from the index",
)
REMOVED = Family(
    "s3:ObjectRemoved",
    ("Delete", "DeleteMarkerCreated"),
    "objects that are deleted stay in the index as ghosts",
)
EXPIRED = Family(
    "s3:LifecycleExpiration",
    ("Delete", "DeleteMarkerCreated"),
    "objects that a lifecycle rule expires stay in the index as ghosts",
)
FAMILIES = (CREATED, REMOVED, EXPIRED)
"""Event types of S3 that speak of existence (S3 user guide, "Supported event types")."""


class Scope(NamedTuple):
    """Which keys a subscription is for."""

    prefix: str
    suffix: str

    def covers(self, other: Scope) -> bool:
        """Whether every key of the other is one of these."""
        return other.prefix.startswith(self.prefix) and other.suffix.endswith(self.suffix)

    def __str__(self) -> str:
        parts = [f"{name} {text!r}" for name, text in (("prefix", self.prefix), ("suffix", self.suffix)) if text]
        return " and ".join(parts) or "every key"


def bucket_findings(bucket: str, configuration: Mapping[str, Any], queue_arns: Collection[str]) -> list[Finding]:
    """What is wrong with a bucket's notification configuration, as GetBucketNotificationConfiguration gives it."""
    ours = [each for each in configuration.get("QueueConfigurations", []) if each.get("QueueArn") in queue_arns]
    carriers = [
        carrier
        for key, carrier in (("TopicConfigurations", "SNS"), ("EventBridgeConfiguration", "EventBridge"))
        if key in configuration
    ]
    if not ours:
        return [_silent(bucket, carriers)]
    severity: Severity = "note" if carriers else "warning"  # what the queue is not told may come by the other way
    also = f" (unless it comes by {' or '.join(carriers)}, which cannot be looked into)" if carriers else ""
    problems = [*_missing(ours), *_gaps(ours), *_partial(ours)]
    return [_found(severity, bucket, f"{problem}{also}", remedy) for problem, remedy in problems]


def unreadable_bucket(bucket: str, code: str, detail: str) -> Finding:
    """What to say where the configuration could not be had: the daemon itself never needs it."""
    if code == "NoSuchBucket":
        problem = "is named by a queue's policy or by the index, and does not exist"
        return _found("note", bucket, problem, "it needs no mending if the bucket was deleted on purpose")
    problem = f"its notifications could not be looked at ({code}: {detail or 'no more was said'})"
    right = "allow s3:GetBucketNotification"
    way = "see that S3 can be reached with these credentials (AWS_ENDPOINT_URL_S3, a NAT or the VPC endpoint for S3)"
    remedy = f"to have them checked, {right if is_denied(code) else way}; the daemon does not need it"
    return _found("note", bucket, problem, remedy)


def _silent(bucket: str, carriers: Sequence[str]) -> Finding:
    if carriers:
        problem = f"sends its events by {' and '.join(carriers)}, which cannot be looked into"
        return _found("note", bucket, problem, "see that created, removed and expired objects are all passed on")
    problem = "sends no event to any of the queues"
    names = ", ".join(f"{family.name}:*" for family in FAMILIES)
    return _found("warning", bucket, problem, f"subscribe a queue to {names}")


def _missing(ours: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for family in FAMILIES:
        absent = [member for member in family.members if not _scopes(ours, family.name, member)]
        if len(absent) == len(family.members):
            absent = ["*"]
        if absent:
            names = ", ".join(f"{family.name}:{member}" for member in absent)
            yield f"does not tell of {names}: {family.without}", f"subscribe the queue to {family.name}:*"


def _gaps(ours: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Keys whose creation is told and whose end is not."""
    made = {scope for member in CREATED.members for scope in _scopes(ours, CREATED.name, member)}
    for family in (REMOVED, EXPIRED):
        for scope in sorted(made):
            told = [_scopes(ours, family.name, member) for member in family.members]
            uncovered = [scopes for scopes in told if scopes and not any(each.covers(scope) for each in scopes)]
            if uncovered:
                problem = f"tells of {family.name} only for {_list(set().union(*uncovered))}, not for {scope}"
                yield f"{problem}: there {family.without}", f"subscribe {family.name}:* for {scope} too"


def _partial(ours: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    made = {scope for member in CREATED.members for scope in _scopes(ours, CREATED.name, member)}
    if made and Scope("", "") not in made:
        yield f"tells only of keys with {_list(made)}: others are not in the index", "drop the filter if they should be"


def _scopes(ours: Sequence[Mapping[str, Any]], family: str, member: str) -> set[Scope]:
    wanted = {f"{family}:{member}", f"{family}:*"}
    return {_scope(each) for each in ours if wanted & set(each.get("Events", []))}


def _scope(subscription: Mapping[str, Any]) -> Scope:
    rules = subscription.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    texts = {str(rule.get("Name", "")).lower(): str(rule.get("Value", "")) for rule in rules}
    return Scope(texts.get("prefix", ""), texts.get("suffix", ""))


def _list(scopes: Collection[Scope]) -> str:
    return ", ".join(str(scope) for scope in sorted(scopes))


def _found(severity: Severity, bucket: str, problem: str, remedy: str) -> Finding:
    return Finding(severity, ExitCode.QUEUE, f"bucket {bucket}", problem, remedy)
