"""The files of the project for the rules: sources parsed once, and all text files."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
CODE_FOLDERS = ("subscriber", "testkit", "benchmarks", "tests")
KEPT_HIDDEN = frozenset({".ci", ".github", ".gitignore", ".dockerignore"})
MADE = frozenset({"__pycache__", "dist", "htmlcov", "tmp"})

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Source(msgspec.Struct, frozen=True):
    """One Python file."""

    path: str
    """Path, relative to the root of the project."""
    text: str
    tree: ast.Module
    nodes: tuple[ast.AST, ...]
    """All nodes of the tree: walking it takes longer than most rules."""

    @classmethod
    def parse(cls, text: str, path: str = "example.py") -> Source:
        """Parse a source from its text."""
        tree = ast.parse(text)
        return cls(path, text, tree, tuple(ast.walk(tree)))

    def functions(self) -> Iterator[Function]:
        """Every function and method, with nested ones."""
        return (node for node in self.nodes if isinstance(node, Function))

    def calls(self) -> Iterator[ast.Call]:
        """Every call."""
        return (node for node in self.nodes if isinstance(node, ast.Call))

    def at(self, line: int) -> str:
        """Path and line, for the report of a violation."""
        return f"{self.path}:{line}"


@functools.cache
def sources() -> tuple[Source, ...]:
    """Every Python file of the project."""
    paths = [path for folder in CODE_FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return tuple(Source.parse(path.read_text(), str(path.relative_to(ROOT))) for path in paths)


@functools.cache
def texts() -> dict[str, str]:
    """Every text file of the project by path, without generated files."""
    return {str(path.relative_to(ROOT)): text for path in sorted(_files(ROOT)) if (text := _text(path)) is not None}


def _files(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.name in MADE or (entry.name.startswith(".") and entry.name not in KEPT_HIDDEN):
            continue
        if entry.is_dir() and not entry.name.endswith(".egg-info"):
            yield from _files(entry)
        elif entry.is_file():
            yield entry


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return None
