"""The files of the project: no addresses of other systems, complete locks, and a Makefile that lists its targets."""

from __future__ import annotations

import re
import tomllib
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement

from tests.repo.audit import LOCKS
from tests.repo.commands import targets, targets_in
from tests.repo.source import ROOT, texts

pytestmark = pytest.mark.usefixtures("untraced")

_OUTSIDE = re.compile(
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
_PIN = re.compile(
    r"^([a-z0-9][a-z0-9._-]*)(?:\[[a-z,]+\])?==([^ ;\\]+)(?P<rest>(?:.*\\\n)?(?:\s+--hash=sha256:\S+(?: \\)?\n)*)",
    re.MULTILINE,
)


def outside_names(text: str) -> list[str]:
    """Hosts of package registries and paths of a development machine in a text."""
    return [found.group() for found in _OUTSIDE.finditer(text)]


class Pin(NamedTuple):
    """One pinned package of a lock."""

    name: str
    version: str
    hashes: int


def pins(lock: str) -> list[Pin]:
    """The pinned packages of a lock; a package may occur twice, for two ranges of Python versions."""
    found = _PIN.finditer(texts()[f"requirements/{lock}"])
    return [Pin(each[1], each[2], each["rest"].count("--hash=sha256:")) for each in found]


def declared(group: str) -> list[Requirement]:
    """The requirements of the package itself (`runtime`) or of a dependency group."""
    project = tomllib.loads(texts()["pyproject.toml"])
    lines = project["project"]["dependencies"] if group == "runtime" else project["dependency-groups"][group]
    return [Requirement(line) for line in lines]


def test_no_file_names_an_outside_system() -> None:
    """No file names the host of a package registry or a path of a development machine."""
    violations = [f"{path}: {found}" for path, text in texts().items() for found in outside_names(text)]
    assert not violations, "\n".join(violations)


@pytest.mark.parametrize("text", ["see https://pypi." + "org/project", "cd /" + "work/main", "(/" + "root/.cache)"])
def test_outside_names_are_found(text: str) -> None:
    """The search finds hosts and paths."""
    assert len(outside_names(text)) == 1


@pytest.mark.parametrize("text", ["a duty cycle of rest/work/rest", "{folder}/work/", "src/root/"])
def test_similar_names_are_not_reported(text: str) -> None:
    """The search ignores similar text."""
    assert outside_names(text) == []


def test_phony_targets_are_the_listed_ones() -> None:
    """`make help` lists every phony target of the Makefile."""
    makefile = texts()["Makefile"]
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert set(phony.split()) == targets(makefile)


def test_a_fetch_by_apt_get_is_announced() -> None:
    """`make test` says so before it installs a program for the whole machine."""
    (recipe,) = re.findall(r"^\$\(PGBOUNCER\):\n((?:\t.*\n)+)", texts()["Makefile"], re.MULTILINE)
    announced = recipe.index('echo "fetching PgBouncer with apt-get, which a few tests need"')
    assert recipe.index("command -v apt-get") < announced < recipe.index("apt-get update")


@pytest.mark.parametrize(("group", "lock"), [("runtime", "runtime.txt"), ("dev", "dev.txt")])
def test_every_requirement_is_locked(group: str, lock: str) -> None:
    """Each declared requirement is pinned, with hashes, to a version it allows."""
    locked = {pin.name: pin for pin in pins(lock)}
    for requirement in declared(group):
        pin = locked[requirement.name]
        assert pin.hashes, f"{requirement.name} has no hash"
        assert requirement.specifier.contains(pin.version), f"{requirement} is locked to {pin.version}"


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_are_complete_and_hold_no_address(lock: str) -> None:
    """Every line of a lock belongs to a pin with hashes; the installer decides where packages come from."""
    text = texts()[f"requirements/{lock}"]
    assert len(pins(lock)) == len(re.findall(r"^[^\s#]", text, re.MULTILINE))
    assert [pin.name for pin in pins(lock) if not pin.hashes] == []
    assert not re.search(r"https?://|--index-url|--extra-index|--find-links", text)


def test_development_uses_the_shipped_versions() -> None:
    """The development lock has the same versions as the runtime lock."""
    development = {pin.name: pin.version for pin in pins("dev.txt")}
    shipped = {pin.name: pin.version for pin in pins("runtime.txt")}
    assert {name: development.get(name) for name in shipped} == shipped


def test_ci_runs_the_commands_of_a_contributor() -> None:
    """The script of CI is executable and runs `make check` and `make test`."""
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
    commands = [found.name for line in texts()[".ci/run"].splitlines() for found in targets_in(".ci/run", line)]
    assert set(commands) == {"check", "test"}
