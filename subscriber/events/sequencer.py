"""The canonical sequencer: one text per event, whose "C" order is the order of events on an object.

S3's rule: right-pad the shorter of two sequencers with zeros, then compare them as text (S3 user guide, "Event
message structure"; older editions said left-pad, which is wrong). Dropping trailing zeros gives the same order
without a width. S3 sends 18 hex digits: `00`, the Unix second in eight digits, eight more. Its EventBridge examples
lack the `00`, and a sample with `80` in its place exists. Without those two digits all three agree.

Other stores send a constant, a counter, nanoseconds or nothing. If the first eight digits are not within a day of the
event's own time, the event's second is put in front, so that such events have one order with those of S3 and with
rows from a listing.
"""

from __future__ import annotations

from typing import Final

MAX_SEQUENCER_DIGITS: Final = 64
"""A longer one counts as missing; S3 sends 16 or 18."""
_SECOND_DIGITS = 8
_PREFIXED_DIGITS = 18
_PREFIXES = ("00", "80")
_TOLERANCE_SECONDS = 86_400
_HEX_DIGITS = "0123456789ABCDEFabcdef"


def canonical_sequencer(sequencer: str | None, event_second: int) -> tuple[str, bool]:
    """The canonical form, and whether the event's second was put in front.

    Args:
        sequencer: As in the event, or None; a text that is not hexadecimal counts as missing.
        event_second: Unix second of the event's own time, 0 to 2^32 - 1.
    """
    # Stripping a set of characters leaves nothing only if the text has no other characters.
    if not sequencer or len(sequencer) > MAX_SEQUENCER_DIGITS or sequencer.strip(_HEX_DIGITS):
        return f"{event_second:08X}".rstrip("0"), True
    digits = sequencer.upper()
    if len(digits) == _PREFIXED_DIGITS and digits[:2] in _PREFIXES:
        digits = digits[2:]
    leading_second = int(digits[:_SECOND_DIGITS].ljust(_SECOND_DIGITS, "0"), 16)
    if -_TOLERANCE_SECONDS <= leading_second - event_second <= _TOLERANCE_SECONDS:
        return digits.rstrip("0"), False
    return f"{event_second:08X}{digits}".rstrip("0"), True
