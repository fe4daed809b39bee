"""Terminal output of a running measurement: one status line that is redrawn, and tables that stay.

Where standard output is not a terminal, the status line is printed every few seconds as plain text, so that a log
stays readable. NO_COLOR switches colors off (no-color.org).
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
        self._has_colors = self._is_terminal and not os.environ.get("NO_COLOR")
        self._last_plain_at = float("-inf")
        self._is_line_open = False

    def styled(self, text: str, *styles: str) -> str:
        """`text` in these styles, or unchanged where there are no colors."""
        if not self._has_colors:
            return text
        codes = ";".join(_CODES[style] for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m"

    def say(self, text: str = "") -> None:
        """Print a line that stays."""
        self.close_line()
        print(text, file=self._output, flush=True)

    def show(self, parts: Iterable[str]) -> None:
        """Redraw the status line, or print it every PLAIN_INTERVAL_SECONDS where there is no terminal.

        A terminal that is too narrow for all parts shows the first ones, whole.
        """
        if self._is_terminal:
            self._output.write(_CLEAR_LINE + fitting(parts, shutil.get_terminal_size().columns - 1))
            self._output.flush()
            self._is_line_open = True
        elif time.monotonic() - self._last_plain_at >= PLAIN_INTERVAL_SECONDS:
            self._last_plain_at = time.monotonic()
            print(_SEPARATOR.join(parts), file=self._output, flush=True)

    def close_line(self) -> None:
        """End the status line, so that the next output begins on a new line."""
        if self._is_line_open:
            self._output.write("\n")
            self._is_line_open = False

    def table(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """Print rows of name, right-aligned figure and remark; a row without a figure is a blank line."""
        rows = list(rows)
        names = max(len(name) for name, _, _ in rows)
        figures = max(len(figure) for _, figure, _ in rows)
        for name, figure, remark in rows:
            bold = self.styled(f"{figure:>{figures}}", "bold")
            self.say(f"  {name:<{names}}  {bold}   {self.styled(remark, 'dim')}" if figure else "")


def fitting(parts: Iterable[str], columns: int) -> str:
    """The first parts that fit into the given number of columns, joined."""
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
    """A duration with two or three significant digits."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:.0f} s"
