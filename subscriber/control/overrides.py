"""What an operator may ask of a running daemon, and what comes of it. Pure.

The wish is two things that do not touch each other: whether the daemon is paused, and whether its limit is fixed.
So a limit can be chosen before a pause ends, and a pause ends in what was before it:

    pause    no new poll, no new write; what has begun is finished, what waits is kept under its lease
    resume   the pause is over
    limit N  the limit is N and stays N: no governor, up or down; a pause goes on
    auto     the governor decides again, from the limit in force; a pause is over as well
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Mode: TypeAlias = Literal["auto", "fixed", "paused"]
"""Who decides how fast the line goes: the governor, the operator's number, or nobody, for it stands."""

MODES: tuple[Mode, ...] = ("auto", "fixed", "paused")

Verb: TypeAlias = Literal["pause", "resume", "auto", "limit"]
"""What an operator may say."""

EXPECTED = '{"mode": "pause" | "resume" | "auto"} or {"mode": "limit", "limit": N}'


class CommandError(Exception):
    """A command that makes no sense; its text is one sentence for whoever sent it."""


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One wish of an operator."""

    mode: Verb
    limit: float | None = None
    """With `limit` only: concurrent writes on average; below one it is a part of one writer's time."""


class DesiredState(msgspec.Struct, frozen=True):
    """What the operator wants of the line until further notice; a restart forgets it."""

    is_paused: bool = False
    fixed_limit: float | None = None
    """None: the governor decides."""

    @property
    def mode(self) -> Mode:
        """In one word; a pause covers the rest."""
        if self.is_paused:
            return "paused"
        return "auto" if self.fixed_limit is None else "fixed"


def command_from(body: bytes) -> Command:
    """What a request asks for.

    Raises:
        CommandError: it is no command.
    """
    try:
        return msgspec.json.decode(body, type=Command)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CommandError(f"not a command ({error}); expected {EXPECTED}") from None


def desired_after(desired: DesiredState, command: Command, limit_at_least: float, limit_at_most: float) -> DesiredState:
    """The operator's wish once `command` is obeyed.

    Raises:
        CommandError: a limit that is missing, not asked for, or out of bounds.
    """
    if command.mode != "limit" and command.limit is not None:
        raise CommandError(f'a limit goes with "mode": "limit" only; expected {EXPECTED}')
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
        raise CommandError(f"which limit? expected {EXPECTED}")
    if not least <= limit <= most:
        raise CommandError(
            f"a limit of {limit:g} is out of bounds: SUBSCRIBER_WRITE_MIN_CONCURRENCY is {least:g}, "
            f"SUBSCRIBER_WRITE_MAX_CONCURRENCY is {most:g}"
        )
    return limit
