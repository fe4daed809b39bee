"""SIGINT and SIGTERM end a command that has begun: its task is canceled, so it says where to go on and closes.

`asyncio.Runner` cancels its main task at SIGINT, if that has Python's own handler. SIGTERM is made the same.
"""

from __future__ import annotations

import signal
from types import FrameType

_terminated: list[int] = []
"""SIGTERM, once it has come."""


def take_signals() -> None:
    """To be called after the imports of a command, and before its work."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)


def exit_code() -> int:
    """Of a command that a signal has ended, as a shell reports it."""
    return 128 + (_terminated[0] if _terminated else signal.SIGINT)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    _terminated.append(number)
    signal.raise_signal(signal.SIGINT)
