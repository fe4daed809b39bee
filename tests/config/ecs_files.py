"""The operator's files, read as the tools that use them would."""

from __future__ import annotations

import functools
import importlib.util
import json
import subprocess
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from testkit.aws.localstack import PYTHON as LOCALSTACK_PYTHON
from tests.repo.source import ROOT

ECS = ROOT / "config/ecs"
WATCH = ROOT / "config/watch"

OPERATIONS: Mapping[str, tuple[str, str]] = {
    "bucket-notification.json": ("s3", "PutBucketNotificationConfiguration"),
    "dead-letter-queue.json": ("sqs", "CreateQueue"),
    "one-off-task.json": ("ecs", "RunTask"),
    "queue.json": ("sqs", "CreateQueue"),
    "scalable-target.json": ("application-autoscaling", "RegisterScalableTarget"),
    "scaling-policy.json": ("application-autoscaling", "PutScalingPolicy"),
    "service.json": ("ecs", "CreateService"),
    "task-definition.json": ("ecs", "RegisterTaskDefinition"),
}
"""The AWS call of which each file is the input."""

POLICIES = ("execution-role-policy.json", "task-role-policy.json", "trust-policy.json")


@functools.cache
def fill_script() -> ModuleType:
    """The script that fills the templates; it is beside them, in no package."""
    spec = importlib.util.spec_from_file_location("fill", ECS / "fill.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def example_values() -> dict[str, str]:
    """The values of values.env."""
    values: dict[str, str] = fill_script().values_in((ECS / "values.env").read_text())
    return values


def filled(name: str) -> dict[str, Any]:
    """A template of config/ecs, filled with the example's values."""
    text = fill_script().filled((ECS / name).read_text(), example_values())
    found: dict[str, Any] = json.loads(text)
    return found


@functools.cache
def _session() -> Any:
    return botocore.session.get_session()


def validation_errors(service: str, operation: str, parameters: Mapping[str, Any]) -> str:
    """The errors that botocore reports for the input of a call before sending it; empty if valid."""
    shape = _session().get_service_model(service).operation_model(operation).input_shape
    return str(ParamValidator().validate(parameters, shape).generate_report())


def container() -> dict[str, Any]:
    """The one container of the task definition."""
    (found,) = filled("task-definition.json")["containerDefinitions"]
    assert isinstance(found, dict)
    return found


def container_environment() -> dict[str, str]:
    """The variables that the task definition sets by value."""
    return {variable["name"]: variable["value"] for variable in container()["environment"]}


@functools.cache
def from_yaml(path: str) -> Any:
    """A YAML file of the project, read with the parser of LocalStack's environment, since ours has none."""
    read = "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)"
    done = subprocess.run([LOCALSTACK_PYTHON, "-c", read, ROOT / path], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)
