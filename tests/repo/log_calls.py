"""Finds every log event in the sources of the package, by their syntax trees."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tests.repo.source import Function, Source, sources

_LEVELS = ("debug", "info", "warning", "error", "critical")
_EVENT = re.compile(r"[a-z_]+\.[a-z_]+")
_MORE = "…"
"""Stands for fields that are passed as a mapping."""


class LogCall(NamedTuple):
    """One place that logs an event."""

    event: str
    level: str
    fields: tuple[str, ...]
    package: str
    """As `subscriber/flow`."""


def log_calls() -> list[LogCall]:
    """Every call of the log in the package, by event."""
    ours = [source for source in sources() if source.path.startswith("subscriber/")]
    return sorted(set(_found(ours)))


def _found(ours: Iterable[Source]) -> Iterator[LogCall]:
    callers = [(source, call) for source in ours for call in source.calls()]
    for source in ours:
        package = "/".join(source.path.split("/")[:-1])
        for function in source.functions():
            for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
                yield from _direct(call, package)
                yield from _chosen_level(call, function, package)
                yield from _passed_event(call, function, callers)


def _direct(call: ast.Call, package: str) -> Iterator[LogCall]:
    """`_log.info("batch.stored", rows=rows)`, also with a condition between two events."""
    level = _level_of(call.func)
    arguments = call.args[1:] if level == "any" else call.args[:1]
    if level:
        for event in (event for argument in arguments for event in _events_in(argument)):
            yield LogCall(event, level, _fields_of(call), package)


def _chosen_level(call: ast.Call, function: Function, package: str) -> Iterator[LogCall]:
    """`log, event = (_log.warning, "sensor.stale") if … else (_log.info, "sensor.fresh")`, then `log(event, …)`."""
    if isinstance(call.func, ast.Name) and call.func.id == "log":
        for pair in (node for node in ast.walk(function) if isinstance(node, ast.Tuple) and len(node.elts) == 2):
            level = _level_of(pair.elts[0])
            for event in _events_in(pair.elts[1]) if level else ():
                yield LogCall(event, level, _fields_of(call), package)


def _passed_event(call: ast.Call, function: Function, callers: Iterable[tuple[Source, ast.Call]]) -> Iterator[LogCall]:
    """`_log.warning(event, …)` in a function whose callers pass the event."""
    level = _level_of(call.func)
    parameters = {argument.arg for argument in function.args.args}
    if not (level and call.args and isinstance(call.args[0], ast.Name) and call.args[0].id in parameters):
        return
    for source, caller in callers:
        if _called(caller) == function.name and caller.args:
            package = "/".join(source.path.split("/")[:-1])
            yield from (LogCall(event, level, _fields_of(call), package) for event in _events_in(caller.args[0]))


def _called(call: ast.Call) -> str:
    """The last part of the name of the called function."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _level_of(function: ast.expr) -> str:
    """The level of `_log.<level>` or `get_logger().<level>`; empty for any other expression."""
    if not isinstance(function, ast.Attribute):
        return ""
    of_log = isinstance(function.value, ast.Name) and function.value.id == "_log"
    made = isinstance(function.value, ast.Call) and ast.unparse(function.value.func) == "get_logger"
    if not (of_log or made):
        return ""
    return "any" if function.attr == "log" else function.attr if function.attr in _LEVELS else ""


def _events_in(expression: ast.expr) -> list[str]:
    constants = [node.value for node in ast.walk(expression) if isinstance(node, ast.Constant)]
    return [text for text in constants if isinstance(text, str) and _EVENT.fullmatch(text)]


def _fields_of(call: ast.Call) -> tuple[str, ...]:
    names = [keyword.arg or _MORE for keyword in call.keywords]
    return tuple("exception" if name == "exc_info" else name for name in names)
