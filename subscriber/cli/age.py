"""An age as an argument: a number and a unit."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import click

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST_SECONDS = 36_500 * 86_400
"""A century, so that every age before now is a date."""


class Age(click.ParamType[timedelta]):
    """A number and a unit, as in 90s, 15m, 2h or 3d."""

    name = "AGE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """The time as a difference."""
        found = re.fullmatch(r"(\d{1,6})([smhd])", str(value))
        if found is None:
            self.fail(f"{value!r} is not an age; write 90s, 15m, 12h or 3d", param, ctx)
        seconds = int(found[1]) * _SECONDS[found[2]]
        if seconds > _LONGEST_SECONDS:
            self.fail(f"{value!r} is longer than {_LONGEST_SECONDS // _SECONDS['d']}d", param, ctx)
        return timedelta(seconds=seconds)
