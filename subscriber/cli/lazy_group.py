"""A command group that imports a command's module only when the command runs."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import click


class LazyCommand(NamedTuple):
    """Where a command is defined, and what the list of commands says about it."""

    path: str
    """`package.module:attribute`."""
    short_help: str
    """The first sentence of the command's own help, so that the list needs no import."""


class LazyGroup(click.Group):
    """Lists its commands without importing them, so that `--help` starts neither clients nor servers."""

    def __init__(self, *args: Any, commands_by_name: Mapping[str, LazyCommand], **options: Any) -> None:
        super().__init__(*args, **options)
        self._lazy = commands_by_name

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which the table declares them."""
        return [*self._lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command; None for an unknown name."""
        lazy = self._lazy.get(cmd_name)
        if lazy is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = lazy.path.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the list of commands from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.short_help) for name, lazy in self._lazy.items()])
