"""The commands of a document, and a function that runs `aws` commands against LocalStack.

The AWS CLI comes with LocalStack's environment. Starting it takes seconds, so one process runs a whole list.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from botocore import xform_name

from testkit.aws.localstack import PYTHON as LOCALSTACK_PYTHON

_RUNNER = """\
import json, sys
from awscli.clidriver import create_clidriver
for command in json.load(sys.stdin):
    code = create_clidriver().main(command)
    if code:
        print(f"{command} ended with {code}", file=sys.stderr)
        sys.exit(code)
"""

Command = list[str]
LISTS = ("--services",)
"""Options that take several values; here they have one."""


def blocks(markdown: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL)


def commands(markdown: str) -> list[Command]:
    """Every command of the bash blocks, split as a shell would, without lines that only set a variable."""
    lines = [line for block in blocks(markdown, "bash") for line in block.splitlines()]
    split = [shlex.split(line) for line in lines if line.strip()]
    return [words for words in split if words[0] != "export"]


def parameters(command: Command, folder: Path) -> tuple[str, str, dict[str, Any]]:
    """Service, operation and parameters of an `aws` command whose options are scalars, JSON, or one file of input.

    Options that only format the answer (--query, --output) are omitted.

    Operations are named as in the API reference; `folder` is the root of file:// paths.
    """
    _, service, operation, *options = command
    given: dict[str, Any] = {}
    for name, value in zip(options[::2], options[1::2], strict=True):
        if name == "--cli-input-json":
            given |= json.loads((folder / value.removeprefix("file://")).read_text())
        elif name not in ("--query", "--output"):
            given[name.removeprefix("--")] = _parameter(name, value)
    return service, operation, given


def _parameter(name: str, value: str) -> Any:
    if name in LISTS:
        return [value]
    return json.loads(value) if value.isdigit() or value.startswith("{") else value


def operation_names(model: Any) -> dict[str, str]:
    """From the names of the AWS CLI to those of the API reference."""
    return {xform_name(name, "-"): name for name in model.operation_names}


async def run_aws(argument_lists: Iterable[Command], endpoint_url: str, folder: Path) -> None:
    """Run `aws …` for each list of arguments (without the `aws`), in `folder`; the first failure raises."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_PAGER": "", "HOME": str(folder)}
    whole = [[*words, "--endpoint-url", endpoint_url, "--region", "us-east-1"] for words in argument_lists]
    done = await asyncio.to_thread(_run, json.dumps(whole), folder, environment)
    assert done.returncode == 0, done.stderr


def _run(whole: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [str(LOCALSTACK_PYTHON), "-c", _RUNNER]
    return subprocess.run(
        command, input=whole, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
