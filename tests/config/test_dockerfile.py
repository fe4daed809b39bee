"""The image: its rules, and its contents."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.config.ecs_files import container, container_environment
from tests.repo.source import ROOT


class Instruction(NamedTuple):
    """One instruction, with its continued lines joined."""

    word: str
    rest: str


def instructions() -> list[Instruction]:
    """Those of the Dockerfile, in order."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [Instruction(*line.split(maxsplit=1)) for line in lines if line.strip()]


def of(word: str) -> list[str]:
    """The arguments of one kind of instruction."""
    return [each.rest for each in instructions() if each.word == word]


def final_stage() -> list[Instruction]:
    """The instructions from the last FROM on."""
    last = max(number for number, each in enumerate(instructions()) if each.word == "FROM")
    return instructions()[last:]


def environment() -> dict[str, str]:
    """The variables of the final stage."""
    (text,) = [each.rest for each in final_stage() if each.word == "ENV"]
    return dict(pair.split("=", 1) for pair in text.split())


def test_both_stages_use_one_pinned_python() -> None:
    """A version with its patch level, stated once; neither `latest` nor a minor version alone."""
    assert of("FROM") == [
        "python:${PYTHON_VERSION}-slim-bookworm AS build",
        "python:${PYTHON_VERSION}-slim-bookworm",
    ]
    (version,) = of("ARG")
    assert re.fullmatch(r"PYTHON_VERSION=3\.11\.\d+", version)


def test_every_package_comes_from_a_lock_with_hashes() -> None:
    """Each install uses a lock, with hashes and without building; our own wheel needs no index."""
    installs = [part for run in of("RUN") for part in run.split("&&") if " install " in part]
    assert len(installs) == 3
    for install in installs:
        if "dist/" in install:
            assert "--no-index --no-deps" in install
        else:
            assert re.search(r"--require-hashes --only-binary :all: .*-r requirements/(build|runtime)\.txt", install)


def test_the_process_is_unprivileged_and_in_exec_form() -> None:
    """A numeric user that Kubernetes and ECS can check, and no shell between signals and the daemon."""
    words = {each.word: each.rest for each in final_stage()}
    assert words["USER"] == container()["user"] == "10001:10001"
    assert json.loads(words["ENTRYPOINT"]) == container()["entryPoint"]
    assert json.loads(words["CMD"]) == container()["command"]
    assert words["STOPSIGNAL"] == "SIGTERM"


def test_the_final_stage_installs_nothing() -> None:
    """The final stage copies and declares; it runs nothing and has no package manager."""
    assert "RUN" not in {each.word for each in final_stage()}
    assert "venv --without-pip /opt/subscriber" in "".join(of("RUN"))


def test_the_process_writes_no_files() -> None:
    """Byte code is compiled in the build only."""
    assert "compileall" in of("RUN")[-1]
    assert environment()["PYTHONDONTWRITEBYTECODE"] == "1"


def test_no_setting_is_baked_in() -> None:
    """The image has no setting of ours, and nothing that looks like a secret."""
    assert not [name for name in environment() if name.startswith(("SUBSCRIBER_", "AWS_"))]
    assert not re.search(r"(?i)password|secret|token", (ROOT / "Dockerfile").read_text())


def test_the_certificates_are_where_the_task_expects_them() -> None:
    """RDS's bundle, fetched over TLS, at the path of the task definition, readable by every user."""
    assert of("ADD") == ["https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem /opt/rds-global-bundle.pem"]
    path = container_environment()["SUBSCRIBER_DATABASE_CA_FILE"]
    assert f"--from=build --chmod=0444 /opt/rds-global-bundle.pem {path}" in of("COPY")


def test_the_health_check_is_that_of_the_task() -> None:
    """It is one command, here and on ECS, in exec form."""
    (text,) = of("HEALTHCHECK")
    assert json.loads(text.partition("CMD ")[2]) == container()["healthCheck"]["command"][1:]


def test_the_build_context_is_what_is_copied() -> None:
    """Every source of a COPY exists and passes .dockerignore; everything that passes is copied."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert rules[0] == "*"
    admitted = {rule[1:] for rule in rules if rule.startswith("!")}
    copies = [text.split()[:-1] for text in of("COPY") if not text.startswith("--from")]
    copied = {source.rstrip("/") for sources in copies for source in sources}
    assert copied == admitted
    assert all((ROOT / source).exists() for source in copied)
    assert any(fnmatch.fnmatch("subscriber/__pycache__", rule) for rule in rules if rule not in {"*", rules[0]})


def test_hadolint_finds_nothing() -> None:
    """The linter of Dockerfiles finds nothing, if it is installed."""
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if linter is None:
        pytest.skip("hadolint is not installed: the rules above hold without it")
    done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_wheel_has_all_of_the_package_and_nothing_else(tmp_path: Path) -> None:
    """As the image builds it: every file of the package, with SQL and type marker, and its license."""
    shutil.copytree(ROOT / "subscriber", tmp_path / "subscriber", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        about = {name.partition(".dist-info/")[2] for name in archive.namelist()} - {""}
    there = {str(path.relative_to(tmp_path)) for path in (tmp_path / "subscriber").rglob("*") if path.is_file()}
    assert packed == there
    assert {"METADATA", "WHEEL", "entry_points.txt", "licenses/LICENSE", "RECORD"} == about
