"""The record of a load: what was sent, and when, one line of JSON per message, written as it goes.

It is kept by the sender, outside of the daemon, so that loss and lateness can be judged without asking the one
that is judged.
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
    """Empty where there is no row to expect."""
    key: str = ""
    version_id: str = ""
    """As the index writes it: empty for the null version."""
    sequencer: str = ""
    """As the index writes it: without the leading 00 and without zeros at the end."""
    is_undecodable: bool = False

    @property
    def version(self) -> tuple[str, str, str]:
        """The row it is about."""
        return (self.bucket, self.key, self.version_id)


def sent_event(message_id: str, sent_at: float, emission: Emission) -> Sent:
    """The record of a message that tells `emission`."""
    return Sent(
        message_id,
        sent_at,
        bucket=emission.bucket,
        key=emission.key,
        version_id="" if emission.version_id in {None, "null"} else str(emission.version_id),
        sequencer=emission.sequencer[2:].rstrip("0"),
    )


class SentRecord:
    """A record that is still being written, read as far as it has got."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_bytes = 0
        self._decoder = msgspec.json.Decoder(Sent)
        self.messages: list[Sent] = []

    def catch_up(self) -> int:
        """Reads what has been added; how many messages there are by now."""
        if not self._path.exists():
            return 0
        with self._path.open("rb") as file:
            file.seek(self._read_bytes)
            added = file.read()
        whole = added[: added.rfind(b"\n") + 1]  # the last line may be half written
        self._read_bytes += len(whole)
        self.messages.extend(self._decoder.decode(line) for line in whole.splitlines())
        return len(self.messages)
