"""Progress of a long command: on a terminal one line that is rewritten, elsewhere a new line every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TextIO, TypeVar

from subscriber.quarantine.replay import Tally

T = TypeVar("T")

ON_TERMINAL_SECONDS = 0.2
ELSEWHERE_SECONDS = 5.0


class Progress(Generic[T]):
    """Prints a tally periodically.

    Args:
        stream: the output; standard error, since standard output is for the result.
        text: the line for a tally after so many seconds.
        clock: monotonic seconds.
    """

    def __init__(
        self, stream: TextIO, text: Callable[[T, float], str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._text = text
        self._clock = clock
        self._rewrites = stream.isatty()
        self._began_at = self._shown_at = clock()
        self._width = 0

    def show(self, tally: T) -> None:
        """Print the tally, unless it was printed a moment ago."""
        now = self._clock()
        if now - self._shown_at >= (ON_TERMINAL_SECONDS if self._rewrites else ELSEWHERE_SECONDS):
            self._shown_at = now
            self._write(self._text(tally, now - self._began_at))

    def end(self) -> None:
        """Clear the rewritten line."""
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


def progress_text(total: int, tally: Tally, elapsed_seconds: float) -> str:
    """Messages seen and their total, the results, the rate and the remaining time at this rate."""
    percent = 100 * tally.seen / total if total else 100
    rate = tally.seen / elapsed_seconds if elapsed_seconds > 0 else 0.0
    left = max(0, total - tally.seen) / rate if rate else 0.0
    counts = f"{tally.replayed} replayed, {tally.rejected.total()} still rejected"
    return f"{tally.seen} of {total} ({percent:.0f} %): {counts}; {rate:.0f}/s, {left:.0f} s left"
