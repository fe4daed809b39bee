"""What a person in front of a terminal sees of a running measurement: one line that moves, one table that stays.

Where standard output is no terminal the line is printed every few seconds instead, plain, so that a log keeps a
readable trace. NO_COLOR switches colors off, as it does elsewhere.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable
from typing import Final, TextIO

PLAIN_INTERVAL_SECONDS: Final = 5.0
_CLEAR_LINE = "\r\x1b[2K"
_SEPARATOR = " │ "
_CODES: Final = {"dim": "2", "bold": "1", "green": "32", "red": "31"}


class Screen:
    """Standard output, as a terminal or as a log.

    Args:
        output: where to write; standard output by default.
    """

    def __init__(self, output: TextIO | None = None) -> None:
        self._output = output or sys.stdout
        self._is_terminal = self._output.isatty()
        self._has_colours = self._is_terminal and not os.environ.get("NO_COLOR")
        self._last_plain_at = float("-inf")
        self._is_line_open = False

    def styled(self, text: str, *styles: str) -> str:
        """`text` in these styles, where there are any."""
        if not self._has_colours:
            return text
        codes = ";".join(_CODES[style] for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m"

    def say(self, text: str = "") -> None:
        """A line that stays."""
        self.close_line()
        print(text, file=self._output, flush=True)

    def show(self, parts: Iterable[str]) -> None:
        """The line that moves: drawn over the one before, or printed now and then.

        A terminal that is too narrow for all parts gets the first of them, whole.
        """
        if self._is_terminal:
            self._output.write(_CLEAR_LINE + fitting(parts, shutil.get_terminal_size().columns - 1))
            self._output.flush()
            self._is_line_open = True
        elif time.monotonic() - self._last_plain_at >= PLAIN_INTERVAL_SECONDS:
            self._last_plain_at = time.monotonic()
            print(_SEPARATOR.join(parts), file=self._output, flush=True)

    def close_line(self) -> None:
        """Leaves the moving line where it is."""
        if self._is_line_open:
            self._output.write("\n")
            self._is_line_open = False

    def table(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """Names, right-aligned figures, remarks; a row of nothing is a gap."""
        rows = list(rows)
        names = max(len(name) for name, _, _ in rows)
        figures = max(len(figure) for _, figure, _ in rows)
        for name, figure, remark in rows:
            bold = self.styled(f"{figure:>{figures}}", "bold")
            self.say(f"  {name:<{names}}  {bold}   {self.styled(remark, 'dim')}" if figure else "")


def fitting(parts: Iterable[str], columns: int) -> str:
    """As many of the first parts as fit into so many columns."""
    line = ""
    for part in parts:
        longer = f"{line}{_SEPARATOR}{part}" if line else part
        if len(longer) > columns:
            break
        line = longer
    return line


def clock(seconds: float) -> str:
    """`1:05` for 65 seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def duration(seconds: float) -> str:
    """A duration with as many digits as matter."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:.0f} s"
