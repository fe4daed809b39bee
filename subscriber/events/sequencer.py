"""The canonical sequencer: one text per event, whose "C" order is the order of events on an object.

S3's rule: right-pad the shorter of two sequencers with zeros, then compare them as text (S3 user guide, "Event
message structure"; older editions said left-pad, which is wrong). Dropping trailing zeros gives the same order
without a width. S3 sends 18 hex digits: `00`, the Unix second in eight digits, eight more. Its EventBridge examples
lack the `00`, and a sample with `80` in its place exists. Without those two digits all three agree.

Emulators of S3 send a constant, a counter or nothing in the name of AWS. If the first eight digits are not within a day
of the event's own time, the event's second is put in front, so that such events have one order with those of S3 and
with rows from a listing.

The digits of other stores are no second at all: nanoseconds of the object's last change, bytes of memory in reverse
order, a counter. There the event's whole time comes first, to the microsecond, and the digits last.
"""

from __future__ import annotations

from typing import Final

MAX_SEQUENCER_DIGITS: Final = 64
"""A longer one counts as missing; S3 sends 16 or 18."""
_SECOND_DIGITS = 8
_PREFIXED_DIGITS = 18
_PREFIXES = ("00", "80")
_TOLERANCE_SECONDS = 86_400
_MAX_CANONICAL_DIGITS = 72
"""What the column holds: MAX_SEQUENCER_DIGITS behind a second."""
_HEX_DIGITS = "0123456789ABCDEFabcdef"


def canonical_sequencer(sequencer: str | None, event_second: int, microsecond: int | None = None) -> tuple[str, bool]:
    """The canonical form, and whether the event's time was put in front.

    Args:
        sequencer: As in the event, or None; a text that is not hexadecimal counts as missing.
        event_second: Unix second of the event's own time, 0 to 2^32 - 1.
        microsecond: The rest of that time, for a sender whose digits do not order events; None for AWS.
    """
    # Stripping a set of characters leaves nothing only if the text has no other characters.
    if not sequencer or len(sequencer) > MAX_SEQUENCER_DIGITS or sequencer.strip(_HEX_DIGITS):
        digits = ""
    else:
        digits = sequencer.upper()
    if microsecond is not None:
        # Five digits hold every microsecond of a second. Of very many digits the last ones are dropped.
        return f"{event_second:08X}{microsecond:05X}{digits}"[:_MAX_CANONICAL_DIGITS].rstrip("0"), True
    if not digits:
        return f"{event_second:08X}".rstrip("0"), True
    if len(digits) == _PREFIXED_DIGITS and digits[:2] in _PREFIXES:
        digits = digits[2:]
    leading_digits = digits[:_SECOND_DIGITS] if len(digits) >= _SECOND_DIGITS else digits.ljust(_SECOND_DIGITS, "0")
    leading_second = int(leading_digits, 16)
    if -_TOLERANCE_SECONDS <= leading_second - event_second <= _TOLERANCE_SECONDS:
        return digits.rstrip("0"), False
    return f"{event_second:08X}{digits}".rstrip("0"), True
