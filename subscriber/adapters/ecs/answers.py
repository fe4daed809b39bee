"""What the ECS agent says, read into a few plain things; nothing here waits.

The agent answers a request for scale-in protection with one of three bodies, whatever the status: `protection` (it is
as the body says), `failure` (ECS will not, for this task) or `error` (the call did not come through, or was not
allowed). Shapes: ECS Developer Guide, "Task scale-in protection endpoint"; the codes stand there, under "Task scale-in
protection considerations" and in the API reference of UpdateTaskProtection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from subscriber.errors import SensorError


class TaskIdentity(msgspec.Struct, frozen=True):
    """Who we are to ECS."""

    arn: str
    cluster: str = ""
    service: str = ""
    """Empty for a task that no service started, and where the agent does not tell."""
    family: str = ""
    revision: str = ""
    availability_zone: str = ""

    @property
    def worker(self) -> str:
        """The task's id, the last part of its ARN: what we are called in the log and in the database."""
        return self.arn.rsplit("/", 1)[-1]


class Granted(msgspec.Struct, frozen=True):
    """It is as asked."""


class Denied(msgspec.Struct, frozen=True):
    """It is not, or nobody knows."""

    code: str
    """The agent's or ECS's own word; for a failure on the way to the agent, ours."""
    detail: str
    advice: str
    """A sentence for the operator."""
    is_lasting: bool
    """Whether somebody has to change something before the same request can succeed."""


class _Task(msgspec.Struct, frozen=True, rename="pascal"):
    task_arn: str = msgspec.field(name="TaskARN")
    cluster: str = ""
    service_name: str = ""
    family: str = ""
    revision: str = ""
    availability_zone: str = ""


_NETWORK = "The agent cannot reach ECS: is there a way out of the subnet, or a VPC endpoint for ECS?"
_ADVICE: Mapping[str, tuple[str, bool]] = {
    "AccessDeniedException": ("Give the task role ecs:UpdateTaskProtection (config/ecs/task-role-policy.json).", True),
    "TASK_NOT_VALID": ("Only a task that a service started can be protected.", True),
    "ResourceNotFoundException": ("The agent or ECS does not know this task.", True),
    "ClusterNotFoundException": ("ECS does not know the cluster.", True),
    "UnsupportedFeatureException": ("ECS does not offer protection for such a task.", True),
    "InvalidParameterException": ("ECS does not take the request; it is a fault of ours, report it.", True),
    "DEPLOYMENT_BLOCKED": ("More tasks are protected than the service wants: it passes as they run idle.", False),
    "ThrottlingException": ("Too many calls to ECS from this account; it passes.", False),
    "RequestCanceled": (_NETWORK, False),
    "RequestError": (_NETWORK, False),
    "RequestTimeout": (_NETWORK, False),
    "ServerException": ("ECS or its agent has a failure of its own; it passes.", False),
    "ClientException": ("ECS refuses the call: see the detail.", False),
    "HTTP 404": ("The agent has no such endpoint: on EC2, use an agent of version 1.65.0 or later.", True),
    "Unreachable": ("The agent does not answer.", False),
    "Timeout": ("The agent does not answer in time.", False),
}
"""Code → advice, and whether waiting cannot mend it."""


def denied(code: str, detail: str = "") -> Denied:
    """The denial of a code; one that nobody has met yet may pass by itself."""
    advice, is_lasting = _ADVICE.get(code, ("A code that is not documented: see the detail.", False))
    return Denied(code=code, detail=detail, advice=advice, is_lasting=is_lasting)


def read_protection(status: int, body: bytes, *, is_wanted: bool) -> Granted | Denied:
    """What became of a request that the task be protected, or no longer be.

    The body decides, not the status: a failure comes with 200. A body that is none of the three is told by its status.
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
    """Who we are, by the body of the task metadata endpoint, version 4.

    Raises:
        SensorError: it does not say.
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
