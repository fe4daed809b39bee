"""The option `--format` of the commands that print rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, get_args

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def format_option(formats: object, meaning: str = "How to print.") -> Callable[[Command], Command]:
    """`--format`, passed as `form`, with "table" as its default.

    Args:
        formats: a Literal of the words that it takes.
        meaning: for the help.
    """
    return click.option(
        "--format", "form", type=click.Choice(get_args(formats)), default="table", show_default=True, help=meaning
    )
