"""Writes an event of the simulated bucket as the body of a queue message, in each of the envelopes that AWS uses.

Sources: S3 user guide, "Event message structure" and "EventBridge event message structure"; SNS developer guide,
"Parsing message formats". All fields are present at their real size: a native body has about 900 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, Literal, TypeAlias
from urllib.parse import quote_plus

import msgspec

from testkit.workload.bucket import Emission

Envelope: TypeAlias = Literal["native", "sns", "sns_raw", "eventbridge", "sns_eventbridge"]
ENVELOPES: Final[tuple[Envelope, ...]] = ("native", "sns", "sns_raw", "eventbridge", "sns_eventbridge")

_REGION = "eu-central-1"
_ACCOUNT = "111122223333"
_REQUEST_ID = "7Q3XW1N0J5C9KZ4T"
_HOST_ID = "9vKq2pJwYzE0mBf4rT7xLs1uNcHd8aGi3oVQe6WbXy5tRkZpMjUnCl/DhFgSaIO+v2BqTw8Yx0E="
_REASONS: Final = {
    "ObjectCreated:Put": "PutObject",
    "ObjectCreated:Post": "POST Object",
    "ObjectCreated:Copy": "CopyObject",
    "ObjectCreated:CompleteMultipartUpload": "CompleteMultipartUpload",
}
_OTHER_DETAIL_TYPES: Final = {
    "ObjectRestore:Post": "Object Restore Initiated",
    "ObjectRestore:Completed": "Object Restore Completed",
    "ObjectRestore:Delete": "Object Restore Expired",
    "LifecycleTransition": "Object Storage Class Changed",
    "IntelligentTiering": "Object Access Tier Changed",
    "ObjectAcl:Put": "Object ACL Updated",
    "ObjectTagging:Put": "Object Tags Added",
    "ObjectTagging:Delete": "Object Tags Deleted",
}


def body_of(emission: Emission, envelope: Envelope = "native") -> str:
    """The body of a message with this one event."""
    if envelope == "eventbridge":
        return eventbridge_body(emission)
    if envelope == "sns":
        return sns_body(native_body(emission))
    if envelope == "sns_eventbridge":
        return sns_body(eventbridge_body(emission))
    return native_body(emission)  # SNS raw delivery passes S3's body on unchanged


def native_body(*emissions: Emission, event_version: str = "2.6") -> str:
    """A notification as S3 sends it to a queue: today with one record; the format allows any number."""
    return _json({"Records": [native_record(emission, event_version) for emission in emissions]})


def native_record(emission: Emission, event_version: str = "2.6") -> dict[str, object]:
    """One element of `Records`."""
    by_lifecycle = emission.event_name.startswith("Lifecycle")
    described = {
        "key": quote_plus(emission.key, safe="/"),
        "size": emission.size_bytes,
        "eTag": emission.etag,
        "versionId": emission.version_id,
        "sequencer": emission.sequencer or None,
    }
    return {
        "eventVersion": event_version,
        "eventSource": "aws:s3",
        "awsRegion": _REGION,
        "eventTime": _milliseconds(emission.event_time),
        "eventName": emission.event_name,
        "userIdentity": {
            "principalId": "s3.amazonaws.com" if by_lifecycle else "AWS:AROA4EXAMPLE7INGEST2Q:upload-7f3a"
        },
        "requestParameters": {"sourceIPAddress": "s3.amazonaws.com" if by_lifecycle else "10.20.30.40"},
        "responseElements": {"x-amz-request-id": _REQUEST_ID, "x-amz-id-2": _HOST_ID},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "object-index-all-events",
            "bucket": {
                "name": emission.bucket,
                "ownerIdentity": {"principalId": "A1EXAMPLEOWNER"},
                "arn": f"arn:aws:s3:::{emission.bucket}",
                "awsGeneratedTags": {"aws:cloudformation:stack-name": "lake-storage"},
            },
            "object": _without_none(described),
        },
    }


def eventbridge_body(emission: Emission) -> str:
    """The body that an EventBridge rule delivers to SQS: plain key, hyphenated names, whole seconds."""
    described = {
        "key": emission.key,
        "size": emission.size_bytes,
        "etag": emission.etag,
        "version-id": emission.version_id,
        "sequencer": emission.sequencer or None,
    }
    detail: dict[str, object] = {
        "version": "0",
        "bucket": {"name": emission.bucket},
        "object": _without_none(described),
        "request-id": _REQUEST_ID,
        "requester": _ACCOUNT,
        "source-ip-address": "10.20.30.40",
    }
    detail_type, extra = _eventbridge_detail(emission.event_name)
    return _json(
        {
            "version": "0",
            "id": "2ee9cc15-d022-99ea-1fb8-1b1bac4850f9",
            "detail-type": detail_type,
            "source": "aws.s3",
            "account": _ACCOUNT,
            "time": emission.event_time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": _REGION,
            "resources": [f"arn:aws:s3:::{emission.bucket}"],
            "detail": detail | extra,
        }
    )


def sns_body(message: str) -> str:
    """The body that an SNS topic without raw delivery makes of `message`."""
    return _json(
        {
            "Type": "Notification",
            "MessageId": "b1f5b2c6-5b0a-5d53-9f2c-e8d2c1a0f7de",
            "TopicArn": f"arn:aws:sns:{_REGION}:{_ACCOUNT}:object-events",
            "Subject": "Amazon S3 Notification",
            "Message": message,
            "Timestamp": "2026-08-02T07:51:21.114Z",
            "SignatureVersion": "1",
            "Signature": "bm90IGEgc2lnbmF0dXJlLCBidXQgYXMgbG9uZyBhcyBvbmU" * 7,
            "SigningCertURL": f"https://sns.{_REGION}.amazonaws.com/SimpleNotificationService-0.pem",
            "UnsubscribeURL": f"https://sns.{_REGION}.amazonaws.com/?Action=Unsubscribe",
        }
    )


def test_event_body(bucket: str) -> str:
    """The test event that S3 sends when a notification configuration is put."""
    return _json(
        {
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": "2026-08-02T07:51:20.063Z",
            "Bucket": bucket,
            "RequestId": _REQUEST_ID,
            "HostId": _HOST_ID,
        }
    )


def bodies_of(emissions: Iterable[Emission], envelope: Envelope = "native") -> list[str]:
    """The bodies of messages with one event each."""
    return [body_of(emission, envelope) for emission in emissions]


def _eventbridge_detail(event_name: str) -> tuple[str, dict[str, object]]:
    family, _, kind = event_name.partition(":")
    if family == "ObjectCreated":
        return "Object Created", {"reason": _REASONS[event_name]}
    if family not in {"ObjectRemoved", "LifecycleExpiration"}:
        return _OTHER_DETAIL_TYPES[event_name], {}
    deletion = "Permanently Deleted" if kind == "Delete" else "Delete Marker Created"
    reason = "DeleteObject" if family == "ObjectRemoved" else "Lifecycle Expiration"
    return "Object Deleted", {"reason": reason, "deletion-type": deletion}


def _milliseconds(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def _without_none(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
