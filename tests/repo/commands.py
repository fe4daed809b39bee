"""Finds the commands that documents and docstrings name: make targets, modules and commands of the command line."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from tests.repo.markdown import code_fragments
from tests.repo.source import Source, sources, texts

_MAKE = re.compile(r"(?:^\s*(?:\$ )?|&& |; )make ((?:[A-Z]+=\S+ )*)([a-z][a-z-]*)")
_MODULE = re.compile(r"\bpython[0-9.]* -m ([A-Za-z_][\w.]*\w)")
_MAIN = re.compile(r"""^if __name__ == ["']__main__["']:""", re.MULTILINE)
_CODE_SPAN = re.compile(r"`+([^`]+)`+")


class Named(NamedTuple):
    """A name, and where a reader finds it."""

    where: str
    """Path and line."""
    name: str


def targets(makefile: str) -> set[str]:
    """The targets that `make help` lists."""
    return set(re.findall(r"^([a-z]+):.*##", makefile, re.MULTILINE))


def targets_in(where: str, fragment: str) -> Iterator[Named]:
    """The make targets in one fragment of code."""
    return (Named(where, found[2]) for found in _MAKE.finditer(fragment))


def modules_in(where: str, text: str) -> Iterator[Named]:
    """The modules in one text that are run by `python -m`."""
    return (Named(where, found[1]) for found in _MODULE.finditer(text))


def is_runnable(module: str) -> bool:
    """Whether the module is a package with a `__main__`, or a module with a main block (checked for our own files)."""
    try:
        found = importlib.util.find_spec(module)
        if found and found.submodule_search_locations is not None:
            return importlib.util.find_spec(f"{module}.__main__") is not None
    except ModuleNotFoundError:
        return False
    if found is None:
        return False
    text = texts().get(f"{module.replace('.', '/')}.py")
    return text is None or _MAIN.search(text) is not None


@cache
def documents() -> tuple[tuple[str, str], ...]:
    """Where, and every fragment of code: of Markdown files, docstrings and the script of CI."""
    found = [
        (f"{path}:{number}", fragment)
        for path, text in texts().items()
        if path.endswith(".md")
        for number, fragment in code_fragments(text)
    ]
    found += [(".ci/run", line) for line in texts()[".ci/run"].splitlines()]
    return (*found, *(each for source in sources() for each in docstring_fragments(source)))


def docstring_fragments(source: Source) -> Iterator[tuple[str, str]]:
    """Where, and every code span and indented line of the docstrings of one file, attributes' included."""
    for node in source.nodes:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for text in node.value.value.splitlines():
                fragments = [text] if text.startswith("    ") else _CODE_SPAN.findall(text)
                yield from ((source.at(node.lineno), fragment) for fragment in fragments)
