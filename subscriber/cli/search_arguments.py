"""Sizes and moments as arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import click

from subscriber.cli.age import Age
from subscriber.query.search_query import Moment

_UNITS: Final[Mapping[str, int]] = {"": 1, "B": 1} | {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("KMGTP", start=1)
    for suffix, base in (("B", 1000), ("iB", 1024))
}
"""SI units are decimal, IEC units binary (IEC 80000-13)."""


class Size(click.ParamType[int]):
    """A number of bytes, or a number and a unit, as in 500MB, 1GB or 1.5GiB."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The size in bytes, rounded down."""
        found = re.fullmatch(r"(\d{1,18}(?:\.\d{1,9})?) ?([A-Za-z]*)", str(value))
        if found is None or found[2] not in _UNITS:
            self.fail(f"{value!r} is not a size; write 1000000, 500KB, 1GB or 1.5GiB", param, ctx)
        whole, _, fraction = found[1].partition(".")
        digits: int = 10 ** len(fraction)
        return int(whole + fraction) * _UNITS[found[2]] // digits


class MomentArgument(click.ParamType[Moment]):
    """A date, a time, or an age, as in 7d."""

    name = "AGE|TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Moment:
        """A time without a zone is UTC; an age stays one."""
        if re.fullmatch(r"\d{1,6}[smhd]", str(value)):
            return Age().convert(value, param, ctx)
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is neither an age nor a time; write 7d, 2026-11-22 or 2026-11-22T08:00Z", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
