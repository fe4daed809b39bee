"""Converts an S3 event of EventBridge into a native S3 record.

EventBridge has the same facts under other names: `version-id` for versionId, `etag` for eTag, a detail-type with
reason and deletion-type for the event name, whole seconds for the time. Its key is plain, not form-encoded.
"""

from __future__ import annotations

from typing import Final

import msgspec

from subscriber.events.names import name_of_detail
from subscriber.events.record import BucketField, ObjectField, Record, S3Field
from subscriber.events.storage import nested

SOURCE: Final = "aws.s3"


class DetailObject(msgspec.Struct, frozen=True, gc=False):
    """`detail.object`."""

    key: str
    size: int | None = None
    etag: str | None = None
    version_id: str | None = msgspec.field(default=None, name="version-id")
    sequencer: str | None = None


class Detail(msgspec.Struct, frozen=True, gc=False):
    """`detail`. Its own version is ignored: every field that is used is checked by itself."""

    bucket: BucketField
    object: DetailObject
    reason: str = ""
    deletion_type: str = msgspec.field(default="", name="deletion-type")
    requester: msgspec.Raw = msgspec.Raw()
    source_address: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="source-ip-address")
    request_id: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="request-id")
    storage_class: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="destination-storage-class")
    access_tier: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="destination-access-tier")
    restored_until: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="restore-expiry-time")


def as_record(detail_type: str, time: str, detail: Detail) -> Record:
    """The native record of the same event.

    Raises:
        RejectedRecordError: an unknown detail-type, or a deletion that does not say whether it left a delete marker.
    """
    described = detail.object
    return Record(
        event_name=name_of_detail(detail_type, detail.reason, detail.deletion_type),
        event_time=time,
        s3=S3Field(
            bucket=detail.bucket,
            object=ObjectField(
                key=described.key,
                size=described.size,
                etag=described.etag,
                version_id=described.version_id,
                sequencer=described.sequencer,
            ),
        ),
        user_identity=nested(detail.requester, "principalId"),
        request_parameters=nested(detail.source_address, "sourceIPAddress"),
        response_elements=nested(detail.request_id, "x-amz-request-id"),
        lifecycle_event_data=nested(detail.storage_class, "transitionEventData", "destinationStorageClass"),
        intelligent_tiering_event_data=nested(detail.access_tier, "destinationAccessTier"),
        glacier_event_data=nested(detail.restored_until, "restoreEventData", "lifecycleRestorationExpiryTime"),
    )
