"""A look at one queue with the daemon's own calls: what it says of itself, and which of them are allowed.

Deleting and hiding are tried with a handle that no message has: a policy answers before anybody looks for the message.
A receive cannot be tried without receiving. One message is asked for, and visible again at once; since every receive
counts towards the redrive policy, it is not tried where that policy has little patience.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit, urlunsplit

import msgspec

from subscriber.adapters.aws.calls import AwsCallError, AwsCalls
from subscriber.adapters.aws.session import region_of
from subscriber.adapters.sqs.client import Sqs
from subscriber.check.rules.call import Caller, is_denied
from subscriber.check.rules.queue import dead_letter_arn, may_lose_a_receive
from subscriber.errors import QueueCallError
from subscriber.model import BatchAnswer, Lease

_NO_HANDLE = "subscriber-check"

_NOT_ABOUT_US = frozenset(
    {
        "InvalidParameterValue",
        "MessageNotInflight",
        "ReceiptHandleIsInvalid",
        "ResourceNotFoundException",
    }
)
"""What is said of a handle that no message has: the call itself was allowed."""


class FailedCall(msgspec.Struct, frozen=True):
    """One call that failed, by the name IAM has for it."""

    action: str
    error: QueueCallError


class QueueFacts(msgspec.Struct, frozen=True):
    """What one look shows."""

    queue: str
    attributes: Mapping[str, str] | None = None
    failures: tuple[FailedCall, ...] = ()
    was_received_from: bool = False
    dead_letters: Mapping[str, str] | None = None
    dead_letters_failure: FailedCall | None = None
    caller: Caller | None = None
    """Who AWS says we are; asked where somebody said no."""


async def probe_queue(queues: Sqs, queue: str) -> QueueFacts:
    """Ask all there is to ask. Raises nothing that a queue can bring about."""
    facts = QueueFacts(queue)
    try:
        facts = msgspec.structs.replace(facts, attributes=await queues.attributes(queue))
    except QueueCallError as error:
        facts = _failed(facts, FailedCall("sqs:GetQueueAttributes", error))
        if not is_denied(error.code):
            return await _with_caller(facts)
    may_receive = may_lose_a_receive(facts.attributes or {})
    calls = [
        _allowed("sqs:DeleteMessage", lambda: queues.delete(queue, [_NO_HANDLE])),
        _allowed("sqs:ChangeMessageVisibility", lambda: queues.change_visibility(queue, [(_NO_HANDLE, 0)])),
    ]
    if may_receive:
        calls.append(_allowed("sqs:ReceiveMessage", lambda: queues.receive(Lease(queue, 0.0, set()))))
    async with asyncio.TaskGroup() as looks:
        dead_letters = looks.create_task(_dead_letters(queues, facts), name="dead-letter queue")
        tried = [looks.create_task(call, name="permission") for call in calls]
    failures = (failure for task in tried if (failure := task.result()) is not None)
    facts = _failed(dead_letters.result(), *failures)
    return await _with_caller(msgspec.structs.replace(facts, was_received_from=may_receive))


def dead_letter_url(queue: str, arn: str) -> str:
    """The URL of a queue by its ARN: it is in the same region, so at the same host."""
    _, account, name = arn.rsplit(":", 2)
    parts = urlsplit(queue)
    before = parts.path.rstrip("/").rsplit("/", 2)[0]
    return urlunsplit(parts._replace(path=f"{before}/{account}/{name}"))


async def _allowed(action: str, call: Callable[[], Awaitable[object]]) -> FailedCall | None:
    """How a call failed for more than the want of a message."""
    try:
        answer = await call()
    except QueueCallError as error:
        return None if error.code in _NOT_ABOUT_US else FailedCall(action, error)
    if isinstance(answer, BatchAnswer):
        denied = next((code for _, code in answer.failed if is_denied(code)), None)
        return FailedCall(action, QueueCallError(denied, "", is_permanent=True)) if denied else None
    return None


async def _dead_letters(queues: Sqs, facts: QueueFacts) -> QueueFacts:
    arn = dead_letter_arn(facts.attributes or {})
    if arn is None:
        return facts
    try:
        found = await queues.attributes(dead_letter_url(facts.queue, arn), through=facts.queue)
    except QueueCallError as error:
        return msgspec.structs.replace(facts, dead_letters_failure=FailedCall("sqs:GetQueueAttributes", error))
    return msgspec.structs.replace(facts, dead_letters=found)


async def _with_caller(facts: QueueFacts) -> QueueFacts:
    """With the name of who was refused; asking for it takes no permission (STS API reference, GetCallerIdentity)."""
    if not any(is_denied(each.error.code) or each.error.code == "QueueDoesNotExist" for each in facts.failures):
        return facts
    calls = AwsCalls(region_of(facts.queue))
    try:
        answer = await calls.call("sts", "GetCallerIdentity")
    except AwsCallError:
        return facts  # it only makes the sentence better
    finally:
        await calls.close()
    caller = Caller(str(answer.get("Arn", "")), str(answer.get("Account", "")))
    return msgspec.structs.replace(facts, caller=caller)


def _failed(facts: QueueFacts, *failures: FailedCall) -> QueueFacts:
    return msgspec.structs.replace(facts, failures=(*facts.failures, *failures))
