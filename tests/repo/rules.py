"""The rules as functions: each takes one source file and yields a line for every violation."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePath

from tests.repo.source import Function, Source

FILE_LINES = 400
FUNCTION_LINES = 40
NESTING = 3
ARGUMENTS = 6

_BLOCKS = ast.If | ast.For | ast.AsyncFor | ast.While | ast.Try | ast.TryStar | ast.With | ast.AsyncWith | ast.Match
_SCOPES = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
_EMPTY_NAMES = frozenset({"util", "utils", "manager", "managers", "helper", "helpers", "common", "misc"})
_EXCEPTION = re.compile(r"# (noqa|type: ignore|pragma: no cover)(?P<rest>.*)")
_REASON = re.compile(r"(: [A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)*|\[[a-z, -]+\])?\s+\W*\w+")


def long_files(source: Source) -> Iterator[str]:
    """A file has at most 400 lines of any kind."""
    lines = len(source.text.splitlines())
    if lines > FILE_LINES:
        yield f"{source.path} has {lines} lines"


def long_functions(source: Source) -> Iterator[str]:
    """A function has at most 40 lines from `def` to its end, without its docstring.

    A longer explanation must not break the budget.
    """
    for function in source.functions():
        lines = _last_line(function) - function.lineno + 1 - _docstring_lines(function)
        if lines > FUNCTION_LINES:
            yield f"{source.at(function.lineno)} {function.name} has {lines} lines"


def deep_functions(source: Source) -> Iterator[str]:
    """Blocks are nested at most three deep inside a function; `elif` is as deep as its `if`.

    An inner function is counted separately. `with` counts: it indents, and it may wait.
    """
    for function in source.functions():
        depth = max(map(_depth, function.body))
        if depth > NESTING:
            yield f"{source.at(function.lineno)} {function.name} is nested {depth} deep"


def wide_functions(source: Source) -> Iterator[str]:
    """A function has at most six positional arguments, without `self` and `cls`, and at most six keyword-only ones.

    A call with names is readable; a long list of positional values is not.
    """
    for function in source.functions():
        positional = [argument.arg for argument in function.args.posonlyargs + function.args.args]
        positional = positional[1:] if positional[:1] in (["self"], ["cls"]) else positional
        for kind, count in (("positional", len(positional)), ("keyword-only", len(function.args.kwonlyargs))):
            if count > ARGUMENTS:
                yield f"{source.at(function.lineno)} {function.name} takes {count} {kind} arguments"


def undocumented(source: Source) -> Iterator[str]:
    """Every module, public class, public function and test has a docstring.

    An empty file needs none.
    """
    if source.tree.body and not ast.get_docstring(source.tree):
        yield f"{source.path} has no docstring"
    for node in _public(source.tree.body):
        if not ast.get_docstring(node):
            yield f"{source.at(node.lineno)} {node.name} has no docstring"


def unnamed_tasks(source: Source) -> Iterator[str]:
    """Every task is created with a name, which logs and dumps show."""
    for call in source.calls():
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if name == "ensure_future" or (name == "create_task" and "name" not in [word.arg for word in call.keywords]):
            yield f"{source.at(call.lineno)} creates a task without a name"


def uses_of_wait_for(source: Source) -> Iterator[str]:
    """`asyncio.wait_for` is not used: on Python 3.11 it can swallow a cancellation; `asyncio.timeout` cannot."""
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and node.attr == "wait_for" and ast.unparse(node) == "asyncio.wait_for":
            yield f"{source.at(node.lineno)} uses asyncio.wait_for"
        if isinstance(node, ast.ImportFrom) and "asyncio.wait_for" in _imported(node):
            yield f"{source.at(node.lineno)} imports asyncio.wait_for"


def empty_names(source: Source) -> Iterator[str]:
    """No module has a name such as `utils`: the name says what the module is about."""
    if _EMPTY_NAMES & set(re.split(r"[/_.]", str(PurePath(source.path).with_suffix("")))):
        yield f"{source.path} has a name that says nothing"


def unexplained_exceptions(source: Source) -> Iterator[str]:
    """A comment that disables a check gives the reason on the same line."""
    for number, line in enumerate(source.text.splitlines(), start=1):
        found = _EXCEPTION.search(line)
        if found and not _REASON.match(found["rest"]) and not _is_quoted(line, found.start()):
            yield f"{source.at(number)} gives no reason for {found.group().strip()!r}"


def _imported(node: ast.ImportFrom) -> list[str]:
    return [f"{node.module}.{alias.name}" for alias in node.names]


def _last_line(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def _docstring_lines(function: Function) -> int:
    first = function.body[0]
    return _last_line(first) - first.lineno + 1 if ast.get_docstring(function) else 0


def _depth(node: ast.AST) -> int:
    if isinstance(node, _SCOPES):
        return 0
    inner = [_depth(child) - _is_elif(node, child) for child in ast.iter_child_nodes(node)]
    return isinstance(node, _BLOCKS) + max(inner, default=0)


def _is_elif(node: ast.AST, child: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]


def _public(body: list[ast.stmt]) -> Iterator[Function | ast.ClassDef]:
    for node in body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node.body)


def _is_quoted(line: str, start: int) -> bool:
    return line[:start].count('"') % 2 == 1 or line[:start].count("`") % 2 == 1
