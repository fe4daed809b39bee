"""The send log of a load: one line of JSON per message that the queue accepted, with its send time.

The sender writes it, not the daemon, so that loss and latency can be measured independently of the daemon.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from testkit.workload.bucket import Emission


class Sent(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One message that the queue has accepted."""

    message_id: str
    sent_at: float
    """Unix seconds just before the call that sent it."""
    bucket: str = ""
    """Empty if no row is expected."""
    key: str = ""
    version_id: str = ""
    """As in the index: empty for the null version."""
    sequencer: str = ""
    """As in the index: without the leading 00 and without trailing zeros."""
    is_undecodable: bool = False

    @property
    def version(self) -> tuple[str, str, str]:
        """The key of the row it is about."""
        return (self.bucket, self.key, self.version_id)


def sent_event(message_id: str, sent_at: float, emission: Emission) -> Sent:
    """The log entry of a message with this event."""
    return Sent(
        message_id,
        sent_at,
        bucket=emission.bucket,
        key=emission.key,
        version_id="" if emission.version_id in {None, "null"} else str(emission.version_id),
        sequencer=emission.sequencer[2:].rstrip("0"),
    )


class SendLog:
    """A send log that is read while it is being written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_bytes = 0
        self._decoder = msgspec.json.Decoder(Sent)
        self.messages: list[Sent] = []

    def catch_up(self) -> int:
        """Read the new lines; return the number of all messages so far."""
        if not self._path.exists():
            return 0
        with self._path.open("rb") as file:
            file.seek(self._read_bytes)
            added = file.read()
        whole = added[: added.rfind(b"\n") + 1]  # the last line may be half written
        self._read_bytes += len(whole)
        self.messages.extend(self._decoder.decode(line) for line in whole.splitlines())
        return len(self.messages)
