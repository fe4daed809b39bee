"""Rules about the event notifications of a bucket. Pure.

The index is correct only if every kind of event that creates or removes an object arrives, for the same keys. Without
created events objects are missing in the index; without removed events deleted objects remain listed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from subscriber.check.rules.finding import Finding, Severity
from subscriber.errors import AwsErrorKind, ExitCode, aws_error_kind


class Family(NamedTuple):
    """Event names that belong together, and the effect of a missing subscription."""

    name: str
    members: tuple[str, ...]
    without: str


CREATED = Family(
    "s3:ObjectCreated",
    ("Put", "Post", "Copy", "CompleteMultipartUpload"),
    "objects that are created this way are missing in the index",
)
REMOVED = Family(
    "s3:ObjectRemoved",
    ("Delete", "DeleteMarkerCreated"),
    "deleted objects remain in the index",
)
EXPIRED = Family(
    "s3:LifecycleExpiration",
    ("Delete", "DeleteMarkerCreated"),
    "objects that a lifecycle rule expires remain in the index",
)
FAMILIES = (CREATED, REMOVED, EXPIRED)
"""S3 event types that create or remove objects (S3 User Guide, "Supported event types")."""


class Scope(NamedTuple):
    """The keys of a subscription."""

    prefix: str
    suffix: str

    def covers(self, other: Scope) -> bool:
        """Whether this scope contains every key of the other."""
        return other.prefix.startswith(self.prefix) and other.suffix.endswith(self.suffix)

    def __str__(self) -> str:
        parts = [f"{name} {text!r}" for name, text in (("prefix", self.prefix), ("suffix", self.suffix)) if text]
        return " and ".join(parts) or "every key"


def bucket_findings(bucket: str, configuration: Mapping[str, Any], queue_arns: Collection[str]) -> list[Finding]:
    """The problems of a notification configuration, as GetBucketNotificationConfiguration returns it."""
    ours = [each for each in configuration.get("QueueConfigurations", []) if each.get("QueueArn") in queue_arns]
    carriers = [
        carrier
        for key, carrier in (("TopicConfigurations", "SNS"), ("EventBridgeConfiguration", "EventBridge"))
        if key in configuration
    ]
    if not ours:
        return [_no_subscription(bucket, carriers)]
    severity: Severity = "note" if carriers else "warning"  # missing events may arrive the other way
    also = f" (unless they come through {' or '.join(carriers)}, which cannot be checked)" if carriers else ""
    problems = [*_missing(ours), *_gaps(ours), *_partial(ours)]
    return [_found(severity, bucket, f"{problem}{also}", remedy) for problem, remedy in problems]


class UnreadableBucket(NamedTuple):
    """A bucket whose configuration could not be read, with S3's error."""

    bucket: str
    code: str
    detail: str


def unreadable_findings(unreadable: Iterable[UnreadableBucket]) -> list[Finding]:
    """One finding for each cause, with all its buckets; the daemon itself never needs to read them.

    A detail that names its bucket, as S3's "not authorized" does, is the same cause for every bucket.
    """
    buckets: dict[tuple[str, str], list[UnreadableBucket]] = {}
    for each in unreadable:
        buckets.setdefault((each.code, each.detail.replace(each.bucket, "*")), []).append(each)
    found: list[Finding] = []
    for (code, common), group in buckets.items():
        if aws_error_kind(code) is AwsErrorKind.NOT_FOUND:
            found += [_missing_bucket(each.bucket) for each in group]
        else:
            names = [each.bucket for each in group]
            found.append(_unreadable(names, code, group[0].detail if len(group) == 1 else common))
    return found


class SubscriptionGap(NamedTuple):
    """Why a bucket's events do not all arrive."""

    problem: str
    is_certain: bool
    """False if they may arrive another way, which cannot be checked."""


def subscription_gap(
    configuration: Mapping[str, Any], queue_arns: Collection[str], prefix: str
) -> SubscriptionGap | None:
    """What a notification configuration lacks for an index of all keys with a prefix, created and removed; or None."""
    ours = [each for each in configuration.get("QueueConfigurations", []) if each.get("QueueArn") in queue_arns]
    carriers = [
        carrier
        for key, carrier in (("TopicConfigurations", "SNS"), ("EventBridgeConfiguration", "EventBridge"))
        if key in configuration
    ]
    lacking = [
        family.name
        for family in (CREATED, REMOVED)
        if not all(_is_covered(ours, family.name, member, Scope(prefix, "")) for member in family.members)
    ]
    if not lacking:
        return None
    if carriers:
        return SubscriptionGap(
            f"sends events through {' and '.join(carriers)}, which cannot be checked", is_certain=False
        )
    names = " and ".join(f"{name}:*" for name in lacking)
    where = f" for every key with prefix {prefix!r}" if prefix else " for every key" if ours else ""
    return SubscriptionGap(f"does not send {names}{where} to any of the queues", is_certain=True)


def _is_covered(ours: Sequence[Mapping[str, Any]], family: str, member: str, wanted: Scope) -> bool:
    return any(scope.covers(wanted) for scope in _scopes(ours, family, member))


def _missing_bucket(bucket: str) -> Finding:
    problem = "is named by a queue's policy, by SUBSCRIBER_BUCKETS or by the index, but does not exist"
    return _found("note", bucket, problem, "ignore this if the bucket was deleted on purpose")


def _unreadable(buckets: Sequence[str], code: str, detail: str) -> Finding:
    problem = f"notifications could not be checked ({code}: {detail or 'no details'})"
    permission = "allow s3:GetBucketNotification"
    access = "make sure that S3 can be reached (AWS_ENDPOINT_URL_S3, a NAT or the VPC endpoint for S3)"
    action = permission if aws_error_kind(code) is AwsErrorKind.DENIED else access
    subject = f"{'bucket' if len(buckets) == 1 else 'buckets'} {', '.join(buckets)}"
    return Finding("note", ExitCode.QUEUE, subject, problem, f"to check them, {action}; the daemon does not need it")


def _no_subscription(bucket: str, carriers: Sequence[str]) -> Finding:
    if carriers:
        problem = f"sends its events through {' and '.join(carriers)}, which cannot be checked"
        remedy = "make sure that events of created, removed and expired objects are all forwarded"
        return _found("note", bucket, problem, remedy)
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
            yield f"does not send {names}: {family.without}", f"subscribe the queue to {family.name}:*"


def _gaps(ours: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Keys whose created events are sent, but not their removed or expired events."""
    created = {scope for member in CREATED.members for scope in _scopes(ours, CREATED.name, member)}
    for family in (REMOVED, EXPIRED):
        for scope in sorted(created):
            subscribed = [_scopes(ours, family.name, member) for member in family.members]
            uncovered = [scopes for scopes in subscribed if scopes and not any(each.covers(scope) for each in scopes)]
            if uncovered:
                problem = f"sends {family.name} only for {_list(set().union(*uncovered))}, not for {scope}"
                yield f"{problem}: there {family.without}", f"subscribe {family.name}:* for {scope} too"


def _partial(ours: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    created = {scope for member in CREATED.members for scope in _scopes(ours, CREATED.name, member)}
    if created and Scope("", "") not in created:
        yield (
            f"sends events only for keys with {_list(created)}: other keys are not in the index",
            "remove the filter if they should be",
        )


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
