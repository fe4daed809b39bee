"""Shifts the wall clock of a Python process: adds the seconds in a file to `time.time`.

Python imports a module of this name at startup, before any other code of the program, so every caller of `time.time`,
including holders of a reference to it, calls this one. The monotonic clock, which all waiting uses, is left alone:
setting the wall clock does not move it either (PEP 418). `datetime.now` is left alone too: the daemon reads the wall
clock by `time.time` only. A test cannot set the clock of the whole machine, and not every system has a library to
preload.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

_FILE = os.environ.get("CHAOS_CLOCK_FILE")
_POLL_SECONDS = 0.02

_true_time = time.time
_looked_at = 0.0
_offset_seconds = 0.0


def _moved_time() -> float:
    global _looked_at, _offset_seconds  # noqa: PLW0603 -- it replaces a function of the interpreter, which has state too
    now = time.monotonic()
    if _FILE and now - _looked_at > _POLL_SECONDS:
        _looked_at = now
        with contextlib.suppress(OSError, ValueError):
            _offset_seconds = float(Path(_FILE).read_text())
    return _true_time() + _offset_seconds


if _FILE:
    time.time = _moved_time
