"""What a listing or an inventory says of a version beside its content, for the columns of the index. Pure."""

from __future__ import annotations

import msgspec

from subscriber.model import DetailedEvent, ListedVersion, ObjectEvent


def with_details(event: ObjectEvent, version: ListedVersion) -> ObjectEvent:
    """The event with what its version says beside size and ETag; the same event where it says nothing."""
    if version.is_marker or (version.storage_class or version.checksum_algorithm or version.is_multipart) is None:
        return event
    return DetailedEvent(
        **msgspec.structs.asdict(event),
        storage_class=version.storage_class,
        is_multipart=version.is_multipart,
        checksum_algorithm=version.checksum_algorithm,
    )
