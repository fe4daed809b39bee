"""docs/how-to/reconcile.md: its commands are understood as they are written."""

from __future__ import annotations

import shlex

import click
import pytest

from subscriber.cli.main import main
from subscriber.model import KeyRange
from subscriber.reconcile.plan import PlannedRange, planned_range
from tests.config.shell_blocks import blocks
from tests.repo.source import texts

COMMANDS = [
    line
    for block in blocks(texts()["docs/how-to/reconcile.md"], "")
    for line in block.splitlines()
    if line.startswith("subscriber ")
]


def parsed(line: str) -> click.Context:
    """The command with its parameters, as the command line understands them; nothing is run."""
    words = shlex.split(line.partition(" > ")[0])[1:]
    command: click.Command = main
    # With the contexts of its groups, for a command keeps the help option of the first context it sees.
    context = main.context_class(main, **main.context_settings)
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, name
        command = found
        context = command.make_context(name, list(words), parent=context)
    return context


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_understood(line: str) -> None:
    """Every option and argument exists and takes its value."""
    assert parsed(line).params


def test_the_range_is_one_of_a_plan() -> None:
    """The line that the page hands to `--range`."""
    (line,) = (line for line in COMMANDS if "--range '" in line)
    given = parsed(line).params["range_text"]
    assert planned_range(given) == PlannedRange("lake-raw", "", KeyRange("", "raw/table=03/"))


def test_an_unknown_option_is_not_understood() -> None:
    """What a renamed option would do."""
    with pytest.raises(click.UsageError, match="No such option"):
        parsed("subscriber reconcile s3://lake-raw --mend")
