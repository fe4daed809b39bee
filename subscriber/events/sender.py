"""The sender that a native record names in `eventSource`: how it writes keys, and whether its sequencer orders events.

docs/reference/senders.md has the sources of these facts. An unknown sender is rejected, never guessed: a key decoded by
the wrong rule makes two objects one row.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from subscriber.events.rejection import UNKNOWN_EVENT, RejectedRecordError, quoted

KeyEncoding: TypeAlias = Literal["form", "plain", "unknown"]
"""`form`: decoded once; `plain`: taken as it is; `unknown`: only keys that both rules read alike are accepted."""


class Sender(msgspec.Struct, frozen=True, gc=False):
    """What is known of a sender."""

    key_encoding: KeyEncoding
    is_sequencer_trusted: bool
    """Whether its sequencer follows AWS's rule; otherwise the event's whole time orders first."""


AWS: Final = "aws:s3"
"""Also the name that emulators of S3 give themselves, and that of a record without `eventSource`."""

SENDERS: Final = {
    AWS: Sender("form", is_sequencer_trusted=True),
    "ceph:s3": Sender("plain", is_sequencer_trusted=False),
    "minio:s3": Sender("form", is_sequencer_trusted=False),
    "noobaa:s3": Sender("plain", is_sequencer_trusted=False),
    "rustfs:s3": Sender("form", is_sequencer_trusted=False),
    "scality:s3": Sender("plain", is_sequencer_trusted=False),
    "sgws:s3": Sender("unknown", is_sequencer_trusted=False),
}
"""By `eventSource`."""


def sender_of(event_source: str) -> Sender:
    """The sender of that name.

    Raises:
        RejectedRecordError: no rule is known for it.
    """
    sender = SENDERS.get(event_source)
    if sender is None:
        raise RejectedRecordError(UNKNOWN_EVENT, f"no rule for the sender {quoted(event_source)}")
    return sender
