"""What the files of the project say of themselves is true, and they speak of nothing else."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement

from subscriber.cli.main import main
from tests.repo.source import ROOT, texts

pytestmark = pytest.mark.usefixtures("untraced")

_FOREIGN = re.compile(
    # Split, so that this file does not name them itself.
    "|".join(
        (
            r"\bpypi\." + r"org\b",
            r"\bpythonhosted\." + r"org\b",
            r"\bnpmjs\." + r"(org|com)\b",
            r"\bcrates\." + r"io\b",
            r"\bproxy\.golang\." + r"org\b",
            r"(?<![\w.)}-])/" + r"work/",
            r"(?<![\w.)}-])/" + r"root/",
        )
    )
)
_MAKE = re.compile(r"(?:`|^\s*(?:\$ )?|&& )make ([a-z][a-z-]*)", re.MULTILINE)
_COMMAND = re.compile(r"(?:`|^\s*\$ |bin/)subscriber ([a-z]+)", re.MULTILINE)
_PIN = re.compile(
    r"^([a-z0-9][a-z0-9._-]*)(?:\[[a-z,]+\])?==([^ ;\\]+)(?P<rest>(?:.*\\\n)?(?:\s+--hash=sha256:\S+(?: \\)?\n)*)",
    re.MULTILINE,
)


def foreign(text: str) -> list[str]:
    """Names of package registries and paths of a workplace in a text."""
    return [found.group() for found in _FOREIGN.finditer(text)]


def targets(makefile: str) -> set[str]:
    """The targets that `make help` would list."""
    return set(re.findall(r"^([a-z]+):.*##", makefile, re.MULTILINE))


class Pin(NamedTuple):
    """One line of a lock, with what belongs to it."""

    name: str
    version: str
    hashes: int


def pins(lock: str) -> list[Pin]:
    """What a lock pins; a package may be there twice, for two ranges of Python."""
    found = _PIN.finditer(texts()[f"requirements/{lock}"])
    return [Pin(each[1], each[2], each["rest"].count("--hash=sha256:")) for each in found]


def documents() -> Iterable[tuple[str, str]]:
    """The texts in which a reader is told what to run."""
    return ((path, text) for path, text in texts().items() if path.endswith(".md") or path == ".ci/run")


def declared(group: str) -> list[Requirement]:
    """The requirements of the package itself (`runtime`) or of a dependency group."""
    project = tomllib.loads(texts()["pyproject.toml"])
    lines = project["project"]["dependencies"] if group == "runtime" else project["dependency-groups"][group]
    return [Requirement(line) for line in lines]


def test_project_speaks_of_itself_alone() -> None:
    """No file names a package registry's host or a path of the machine it was written on."""
    violations = [f"{path}: {found}" for path, text in texts().items() for found in foreign(text)]
    assert not violations, "\n".join(violations)


@pytest.mark.parametrize("text", ["see https://pypi." + "org/project", "cd /" + "work/main", "(/" + "root/.cache)"])
def test_foreign_names_are_noticed(text: str) -> None:
    """The search finds what it is for."""
    assert len(foreign(text)) == 1


@pytest.mark.parametrize("text", ["a duty cycle of rest/work/rest", "{folder}/work/", "src/root/"])
def test_innocent_names_are_not_noticed(text: str) -> None:
    """The search leaves alone what only looks alike."""
    assert foreign(text) == []


def test_documents_name_targets_that_exist() -> None:
    """Every `make …` in a document is a command that `make help` lists."""
    known = targets(texts()["Makefile"])
    named = {(path, target) for path, text in documents() for target in _MAKE.findall(text)}
    assert {target for _, target in named} >= {"check", "test"}
    unknown = sorted(f"{path}: make {target}" for path, target in named if target not in known)
    assert not unknown, "\n".join(unknown)


def test_documents_name_commands_that_exist() -> None:
    """Every `subscriber …` in a document is a command of the command line."""
    named = {(path, command) for path, text in documents() for command in _COMMAND.findall(text)}
    assert "settings" in {command for _, command in named}
    unknown = sorted(f"{path}: subscriber {command}" for path, command in named if command not in main.commands)
    assert not unknown, "\n".join(unknown)


def test_phony_targets_are_the_listed_ones() -> None:
    """Every command of the Makefile explains itself in `make help`."""
    makefile = texts()["Makefile"]
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert set(phony.split()) == targets(makefile)


@pytest.mark.parametrize(("group", "lock"), [("runtime", "runtime.txt"), ("dev", "dev.txt")])
def test_every_requirement_is_locked(group: str, lock: str) -> None:
    """Each declared requirement is pinned, with hashes, to a version it allows."""
    locked = {pin.name: pin for pin in pins(lock)}
    for requirement in declared(group):
        pin = locked[requirement.name]
        assert pin.hashes, f"{requirement.name} has no hash"
        assert requirement.specifier.contains(pin.version), f"{requirement} is locked to {pin.version}"


@pytest.mark.parametrize("lock", ["runtime.txt", "dev.txt", "build.txt", "localstack.txt", "mq-bridge.txt", "uv.txt"])
def test_locks_are_complete_and_hold_no_address(lock: str) -> None:
    """Every line of a lock belongs to a pin with hashes; where packages come from is the installer's affair."""
    text = texts()[f"requirements/{lock}"]
    assert len(pins(lock)) == len(re.findall(r"^[^\s#]", text, re.MULTILINE))
    assert [pin.name for pin in pins(lock) if not pin.hashes] == []
    assert not re.search(r"https?://|--index-url|--extra-index|--find-links", text)


def test_development_runs_what_is_shipped() -> None:
    """The development lock has the very versions of the runtime lock."""
    development = {pin.name: pin.version for pin in pins("dev.txt")}
    shipped = {pin.name: pin.version for pin in pins("runtime.txt")}
    assert {name: development.get(name) for name in shipped} == shipped


def test_ci_runs_what_a_contributor_runs() -> None:
    """The one script of CI is executable and runs the two commands of the house."""
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
    assert set(_MAKE.findall(texts()[".ci/run"])) == {"check", "test"}
