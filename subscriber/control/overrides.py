"""Operator overrides: the commands to a running daemon, and the state that they ask for. Pure.

The desired state has two independent parts: whether the daemon is paused, and whether its limit is fixed. So an
operator can fix a limit during a pause, and the end of a pause restores the mode from before it:

    pause    no new poll, no new write; writes in progress finish, held messages stay under their lease
    resume   the pause ends
    limit N  the limit is N until the next command: the governor does not change it; a pause goes on
    auto     the governor decides again, from the limit in force; a pause ends as well
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Mode: TypeAlias = Literal["auto", "fixed", "paused"]
"""What sets the limit: the governor (auto), the operator's number (fixed), or nothing, as no write starts (paused)."""

MODES: tuple[Mode, ...] = ("auto", "fixed", "paused")

Verb: TypeAlias = Literal["pause", "resume", "auto", "limit"]
"""The commands."""

EXPECTED = '{"mode": "pause" | "resume" | "auto"} or {"mode": "limit", "limit": N}'


class CommandError(Exception):
    """An invalid command; the text is one sentence for its sender."""


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One command of an operator."""

    mode: Verb
    limit: float | None = None
    """With `limit` only: concurrent writes on average; below one it is a duty cycle of one writer."""


class DesiredState(msgspec.Struct, frozen=True):
    """What the operator asked for, until the next command; it does not survive a restart."""

    is_paused: bool = False
    fixed_limit: float | None = None
    """None: the governor decides."""

    @property
    def mode(self) -> Mode:
        """The mode in force; a pause takes precedence."""
        if self.is_paused:
            return "paused"
        return "auto" if self.fixed_limit is None else "fixed"


def command_from(body: bytes) -> Command:
    """The command in a request's body.

    Raises:
        CommandError: it is not a command.
    """
    try:
        return msgspec.json.decode(body, type=Command)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CommandError(f"not a command ({error}); expected {EXPECTED}") from None


def desired_after(desired: DesiredState, command: Command, limit_at_least: float, limit_at_most: float) -> DesiredState:
    """The desired state after `command`.

    Raises:
        CommandError: the limit is missing, unexpected, or out of bounds.
    """
    if command.mode != "limit" and command.limit is not None:
        raise CommandError(f'only "mode": "limit" takes a limit; expected {EXPECTED}')
    match command.mode:
        case "pause":
            return DesiredState(is_paused=True, fixed_limit=desired.fixed_limit)
        case "resume":
            return DesiredState(fixed_limit=desired.fixed_limit)
        case "auto":
            return DesiredState()
        case "limit":
            return DesiredState(desired.is_paused, _within(command.limit, limit_at_least, limit_at_most))


def _within(limit: float | None, least: float, most: float) -> float:
    if limit is None:
        raise CommandError(f"the limit is missing; expected {EXPECTED}")
    if not least <= limit <= most:
        raise CommandError(
            f"a limit of {limit:g} is out of bounds: SUBSCRIBER_WRITE_MIN_CONCURRENCY is {least:g}, "
            f"SUBSCRIBER_WRITE_MAX_CONCURRENCY is {most:g}"
        )
    return limit
