"""How far a long replay has come: one line that rewrites itself on a terminal, else a line every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from subscriber.quarantine.replay import Tally

ON_TERMINAL_SECONDS = 0.2
ELSEWHERE_SECONDS = 5.0


class Progress:
    """Shows a tally from time to time.

    Args:
        stream: where to; standard error, since standard output is for the result.
        total: how many messages there are to be seen.
        clock: monotonic seconds.
    """

    def __init__(self, stream: TextIO, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._total = total
        self._clock = clock
        self._rewrites = stream.isatty()
        self._began_at = self._shown_at = clock()
        self._width = 0

    def show(self, tally: Tally) -> None:
        """Show it, unless that was just done."""
        now = self._clock()
        if now - self._shown_at >= (ON_TERMINAL_SECONDS if self._rewrites else ELSEWHERE_SECONDS):
            self._shown_at = now
            self._write(progress_text(tally, self._total, now - self._began_at))

    def end(self) -> None:
        """Clear the line that would be rewritten."""
        if self._rewrites and self._width:
            self._stream.write(f"\r{' ' * self._width}\r")
            self._stream.flush()

    def _write(self, text: str) -> None:
        if self._rewrites:
            self._stream.write(f"\r{text:<{self._width}}")
            self._width = max(self._width, len(text))
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()


def progress_text(tally: Tally, total: int, elapsed_seconds: float) -> str:
    """Seen of how many, what became of them, how fast, and how long it will go on like this."""
    percent = 100 * tally.seen / total if total else 100
    rate = tally.seen / elapsed_seconds if elapsed_seconds > 0 else 0.0
    left = max(0, total - tally.seen) / rate if rate else 0.0
    counts = f"{tally.replayed} replayed, {tally.refused.total()} still refused"
    return f"{tally.seen} of {total} ({percent:.0f} %): {counts}; {rate:.0f}/s, {left:.0f} s left"
