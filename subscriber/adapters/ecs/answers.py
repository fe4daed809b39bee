"""Parses the answers of the ECS agent. Pure.

The agent answers a request for scale-in protection with one of three bodies, whatever the status: `protection` (the
state in force), `failure` (ECS denies it for this task) or `error` (the call failed, or IAM denied it). Shapes: ECS
Developer Guide, "Task scale-in protection endpoint"; the codes are listed there, under "Task scale-in protection
considerations", and in the API reference of UpdateTaskProtection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from subscriber.errors import SensorError, aws_error_kind


class TaskIdentity(msgspec.Struct, frozen=True):
    """The identity of the task."""

    arn: str
    cluster: str = ""
    service: str = ""
    """Empty for a task that no service started, and where the agent does not say."""
    family: str = ""
    revision: str = ""
    availability_zone: str = ""

    @property
    def worker(self) -> str:
        """The task's id, the last part of its ARN: the name of this worker in the log and in the database."""
        return self.arn.rsplit("/", 1)[-1]


class Granted(msgspec.Struct, frozen=True):
    """ECS did as requested."""


class Denied(msgspec.Struct, frozen=True):
    """ECS did not, or the outcome is unknown."""

    code: str
    """The code of the agent or of ECS; for a failure on the way to the agent, our own."""
    detail: str
    advice: str
    """One sentence for the operator."""
    is_lasting: bool
    """Whether the same request fails until an operator changes something."""


class _Task(msgspec.Struct, frozen=True, rename="pascal"):
    task_arn: str = msgspec.field(name="TaskARN")
    cluster: str = ""
    service_name: str = ""
    family: str = ""
    revision: str = ""
    availability_zone: str = ""


_NETWORK = "The agent cannot reach ECS: is there a way out of the subnet, or a VPC endpoint for ECS?"
_NO_ENDPOINT = "HTTP 404"
_ADVICE: Mapping[str, str] = {
    "AccessDeniedException": "Give the task role ecs:UpdateTaskProtection (config/ecs/task-role-policy.json).",
    "TASK_NOT_VALID": "Only a task that a service started can be protected.",
    "ResourceNotFoundException": "The agent or ECS does not know this task.",
    "ClusterNotFoundException": "ECS does not know the cluster.",
    "UnsupportedFeatureException": "ECS does not offer protection for such a task.",
    "InvalidParameterException": "ECS rejects the request; this is a bug, report it.",
    "DEPLOYMENT_BLOCKED": "More tasks are protected than the service wants: it passes as they become idle.",
    "ThrottlingException": "Too many calls to ECS from this account; it passes.",
    "RequestCanceled": _NETWORK,
    "RequestError": _NETWORK,
    "RequestTimeout": _NETWORK,
    "ServerException": "ECS or its agent has an internal error; it passes.",
    "ClientException": "ECS rejects the call: see the detail.",
    _NO_ENDPOINT: "The agent has no such endpoint: on EC2, use an agent of version 1.65.0 or later.",
    "Unreachable": "The agent does not answer.",
    "Timeout": "The agent does not answer in time.",
}
"""Code → what the operator can do."""


def denied(code: str, detail: str = "") -> Denied:
    """The denial of a code; an unknown code may pass by itself."""
    advice = _ADVICE.get(code, "A code that is not documented: see the detail.")
    is_lasting = code in _ADVICE and (code == _NO_ENDPOINT or aws_error_kind(code).is_permanent)
    return Denied(code=code, detail=detail, advice=advice, is_lasting=is_lasting)


def read_protection(status: int, body: bytes, *, is_wanted: bool) -> Granted | Denied:
    """The outcome of a request to protect the task, or to release it.

    The body decides, not the status: a failure comes with 200. For any other body the status is the code.
    """
    match _object(body):
        case {"protection": {"ProtectionEnabled": bool(is_protected)}}:
            found = f"ProtectionEnabled is {is_protected}"
            return Granted() if is_protected == is_wanted else denied("NotApplied", found)
        case {"failure": {"Reason": str(reason), **rest}}:
            return denied(reason, str(rest.get("Detail") or ""))
        case {"error": {"Code": str(code), **rest}, **around}:
            request = f" (request {around['requestID']})" if around.get("requestID") else ""
            return denied(code, f"{rest.get('Message') or ''}{request}".strip())
        case _:
            return denied(f"HTTP {status}", body[:200].decode(errors="replace"))


def read_identity(status: int, body: bytes) -> TaskIdentity:
    """The identity in the body of the task metadata endpoint, version 4.

    Raises:
        SensorError: the body has no identity.
    """
    if status != 200:
        raise SensorError(f"the task metadata endpoint answers {status}")
    try:
        task = msgspec.json.decode(body, type=_Task)
    except msgspec.MsgspecError as error:
        raise SensorError(f"the task metadata cannot be read: {error}") from error
    return TaskIdentity(
        arn=task.task_arn,
        cluster=task.cluster,
        service=task.service_name,
        family=task.family,
        revision=task.revision,
        availability_zone=task.availability_zone,
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return decoded if isinstance(decoded, dict) else {}
