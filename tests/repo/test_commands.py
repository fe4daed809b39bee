"""Every command that a document or a docstring names exists."""

from __future__ import annotations

import re

import click
import pytest

from subscriber.cli.main import main
from tests.repo.commands import docstring_fragments, documents, is_runnable, modules_in, targets, targets_in
from tests.repo.source import Source, texts

pytestmark = pytest.mark.usefixtures("untraced")

_COMMAND = re.compile(r"(?:^\s*(?:\$ )?|bin/)subscriber ([a-z]+)")


def test_named_targets_exist() -> None:
    """Every `make …` is a target that `make help` lists."""
    known = targets(texts()["Makefile"])
    named = [found for where, fragment in documents() for found in targets_in(where, fragment)]
    assert {found.name for found in named} >= {"check", "test", "bench", "chaos"}
    unknown = sorted(f"{found.where}: make {found.name}" for found in named if found.name not in known)
    assert not unknown, "\n".join(unknown)


def test_named_modules_can_be_run() -> None:
    """Every `python -m …` is a package with a `__main__`, or a module that runs something."""
    named = [found for where, fragment in documents() for found in modules_in(where, fragment)]
    assert {found.name for found in named} >= {"pytest", "testkit.sqs", "benchmarks.fuzz"}
    unknown = sorted(f"{found.where}: python -m {found.name}" for found in named if not is_runnable(found.name))
    assert not unknown, "\n".join(unknown)


def test_named_commands_exist() -> None:
    """Every `subscriber …` is a command of the command line."""
    named = {(where, found) for where, fragment in documents() for found in _COMMAND.findall(fragment)}
    assert "settings" in {command for _, command in named}
    known = main.list_commands(click.Context(main))
    unknown = sorted(f"{where}: subscriber {command}" for where, command in named if command not in known)
    assert not unknown, "\n".join(unknown)


@pytest.mark.parametrize(
    ("fragment", "names"),
    [
        ("make test", ["test"]),
        ("  $ make chaos SEED=7 RUNS=1", ["chaos"]),
        ("cd x && make check", ["check"]),
        ("make SCENARIO=flood bench", ["bench"]),
        ("to make sure", []),
        ("make", []),
    ],
)
def test_targets_are_found(fragment: str, names: list[str]) -> None:
    """With variables before or after the target; the verb inside of a sentence is none."""
    assert [found.name for found in targets_in("x", fragment)] == names


@pytest.mark.parametrize("text", ["python -m benchmarks.nothing", "python -m nothing.at_all", "python -m testkit.cpu"])
def test_a_module_that_cannot_be_run_is_found(text: str) -> None:
    """It does not exist, its package does not exist, or it does nothing when it is run."""
    (found,) = modules_in("x", text)
    assert not is_runnable(found.name)


@pytest.mark.parametrize(
    "text", [".venv/bin/python -m testkit.process sleep 1", "`python3.11 -m benchmarks.loadtest`."]
)
def test_a_module_that_can_be_run_is_not_reported(text: str) -> None:
    """A module with a main block, and a package with a `__main__`."""
    (found,) = modules_in("x", text)
    assert is_runnable(found.name)


def test_docstrings_are_read() -> None:
    """Code spans and indented lines, of attributes too; prose and other strings are not."""
    source = Source.parse(
        '"""We make `make nothing`.\n\n    make thing\n"""\nx = "`make other`"\n"""See `make more`."""\n'
    )
    assert list(docstring_fragments(source)) == [
        ("example.py:1", "make nothing"),
        ("example.py:1", "    make thing"),
        ("example.py:6", "make more"),
    ]
