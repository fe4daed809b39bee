"""Lets the wall clock of a Python process jump: what `time.time` says is moved by the seconds in a file.

Python imports a module of this name at its start, before any other code of the program; so whoever asks `time.time`,
or has taken a reference to it, asks this one. `datetime.now` and the monotonic clock, by which all waiting is done, are
left alone: a wall clock that is set does not move them either (PEP 418), and what the daemon reads of the wall clock it
reads by `time.time`. A whole machine's clock cannot be set for a test, and a preloaded library is not everywhere.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

_FILE = os.environ.get("TORTURE_CLOCK_FILE")
_LOOK_SECONDS = 0.02

_true_time = time.time
_looked_at = 0.0
_offset_seconds = 0.0


def _moved_time() -> float:
    global _looked_at, _offset_seconds  # noqa: PLW0603 -- it stands in for a function of the interpreter, which has a state too
    now = time.monotonic()
    if _FILE and now - _looked_at > _LOOK_SECONDS:
        _looked_at = now
        with contextlib.suppress(OSError, ValueError):
            _offset_seconds = float(Path(_FILE).read_text())
    return _true_time() + _offset_seconds


if _FILE:
    time.time = _moved_time
