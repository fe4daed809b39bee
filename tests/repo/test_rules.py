"""The code keeps the rules of the project, and each rule finds its violations."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.repo import rules
from tests.repo.source import Source, sources

pytestmark = pytest.mark.usefixtures("untraced")

Rule = Callable[[Source], Iterator[str]]

BROKEN: dict[Rule, list[str]] = {
    rules.long_files: ["x = 1\n" * 401],
    rules.long_functions: ["def f():\n" + "    x = 1\n" * 40],
    rules.deep_functions: [
        "def f():\n for a in b:\n  if a:\n   with a:\n    try: x\n    finally: y",
        "def f():\n if a:\n  pass\n elif b:\n  for c in d:\n   while e:\n    match f:\n     case 1: pass",
        "def f():\n def g():\n  for a in b:\n   if a:\n    with a:\n     async def h():\n      pass\n     if b: pass",
    ],
    rules.wide_functions: ["def f(a, b, c, d, e, f, g): ...", "def f(*, a, b, c, d, e, f, g): ..."],
    rules.undocumented: [
        "x = 1",
        '"""Module."""\ndef f(): ...',
        '"""Module."""\nclass C:\n """Class."""\n def method(self): ...',
        '"""Module."""\nasync def test_something(): ...',
    ],
    rules.unnamed_tasks: ["group.create_task(f())", "asyncio.ensure_future(f())"],
    rules.uses_of_wait_for: ["await_ = asyncio.wait_for", "from asyncio import sleep, wait_for"],
    rules.unexplained_exceptions: ["x = 1  # noqa", "x = 1  # noqa: S311", "x = 1  # type: ignore[misc]"],
}

KEPT: dict[Rule, list[str]] = {
    rules.long_files: ["x = 1\n" * 400],
    rules.long_functions: ['def f():\n    """One.\n\n    Two.\n    """\n' + "    x = 1\n" * 39],
    rules.deep_functions: [
        "def f():\n if a:\n  pass\n elif b:\n  pass\n elif c:\n  for d in e:\n   if d: pass",
        "def f():\n for a in b:\n  if a:\n   with a:\n    def g():\n     if b: pass",
    ],
    rules.wide_functions: ["class C:\n def f(self, a, b, c, d, e, f, *, g): ..."],
    rules.undocumented: ['"""Module."""\ndef _f(): ...\nclass C:\n """Class."""\n def __eq__(self, other): ...'],
    rules.unnamed_tasks: ["group.create_task(f(), name='f')"],
    rules.uses_of_wait_for: ["condition.wait_for(f)", "from asyncio import wait"],
    rules.unexplained_exceptions: [
        "x = 1  # noqa: S311 - no secret",
        "x = 1  # noqa: S311, S101 – no secret",
        "x = 1  # type: ignore[misc]  # untyped at its source",
    ],
}


def cases(examples: dict[Rule, list[str]]) -> list[object]:
    """One case per example, named after its rule."""
    return [
        pytest.param(rule, text, id=f"{rule.__name__}-{i}")
        for rule in examples
        for i, text in enumerate(examples[rule])
    ]


@pytest.mark.parametrize("rule", [*BROKEN, rules.empty_names], ids=lambda rule: rule.__name__)
def test_code_keeps_the_rule(rule: Rule) -> None:
    """No file of the project breaks the rule."""
    violations = [violation for source in sources() for violation in rule(source)]
    assert not violations, "\n".join(violations)


@pytest.mark.parametrize(("rule", "text"), cases(BROKEN))
def test_rule_finds_a_violation(rule: Rule, text: str) -> None:
    """A rule finds exactly one violation in an example with one."""
    assert len(list(rule(Source.parse(text)))) == 1


@pytest.mark.parametrize(("rule", "text"), cases(KEPT))
def test_rule_accepts_the_limit(rule: Rule, text: str) -> None:
    """A rule finds nothing in an example that is just within the limit."""
    assert list(rule(Source.parse(text))) == []


@pytest.mark.parametrize("path", ["subscriber/utils.py", "tests/helpers/a.py", "subscriber/lease_manager.py"])
def test_empty_names_are_found(path: str) -> None:
    """A name that says nothing is found anywhere in the path."""
    assert len(list(rules.empty_names(Source.parse("", path)))) == 1


def test_all_code_is_checked() -> None:
    """The rules read every folder with code, including this file."""
    paths = [source.path for source in sources()]
    assert "tests/repo/test_rules.py" in paths
    assert {path.partition("/")[0] for path in paths} == {"subscriber", "testkit", "benchmarks", "tests"}
