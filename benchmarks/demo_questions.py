"""The last part of the demo: questions to the index, asked by an operator's commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from benchmarks.demo_bucket import COMPARED
from benchmarks.demo_command import run_command
from testkit.terminal import Screen

QUESTIONS: Final = (
    ("which objects are the largest?", f"search s3://{COMPARED}/raw/ --order size --limit 3"),
    ("how many objects are there, and which folders hold most?", "features enable usage"),
    ("", f"count s3://{COMPARED}"),
    ("", f"du s3://{COMPARED} --depth 2 --limit 6"),
    ("what changed, and what was there before?", f"history s3://{COMPARED}/raw/ --prefix --limit 4"),
)
"""What a user asks, and the command that answers it."""


def ask(screen: Screen, variables: Mapping[str, str]) -> None:
    """Ask each question and print the answer.

    Args:
        screen: where to print.
        variables: the environment variables of the commands.

    Raises:
        ProcessError: a command failed.
    """
    for question, command in QUESTIONS:
        screen.say(f"\n  {question}\n" if question else "")
        run_command(screen, variables, *command.split())
    screen.say()
