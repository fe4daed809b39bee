"""Checks one queue with the daemon's own calls: its attributes, and which calls are allowed.

DeleteMessage and ChangeMessageVisibility use a receipt handle that no message has: SQS evaluates policies first.
ReceiveMessage cannot be tested without receiving: the check asks for one message, which is visible again at once. Since
every receive counts towards the redrive policy, this is skipped where maxReceiveCount is low.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit, urlunsplit

import msgspec

from subscriber.adapters.aws.calls import AwsCallError, AwsCalls
from subscriber.adapters.sqs.client import Sqs
from subscriber.check.rules.call import Caller
from subscriber.check.rules.queue import allows_test_receive, dead_letter_arn
from subscriber.errors import AwsErrorKind, QueueCallError, aws_error_kind
from subscriber.model import BatchAnswer, Lease
from subscriber.queue_url import region_of

_NO_HANDLE = "subscriber-check"

_KINDS_OF_ALLOWED_CALLS = frozenset({AwsErrorKind.GONE_HANDLE, AwsErrorKind.NOT_FOUND})
"""SQS answers these for an unknown receipt handle, after it has allowed the call."""


class FailedCall(msgspec.Struct, frozen=True):
    """A failed call; `action` is the name of its IAM permission."""

    action: str
    error: QueueCallError


class QueueFacts(msgspec.Struct, frozen=True):
    """All facts about one queue."""

    queue: str
    attributes: Mapping[str, str] | None = None
    failures: tuple[FailedCall, ...] = ()
    was_received_from: bool = False
    dead_letters: Mapping[str, str] | None = None
    dead_letters_failure: FailedCall | None = None
    caller: Caller | None = None
    """Our identity at AWS; known only after a denied call."""


async def probe_queue(queues: Sqs, queue: str) -> QueueFacts:
    """Collect all facts about a queue; a failed call is a fact, not an exception."""
    facts = QueueFacts(queue)
    try:
        facts = msgspec.structs.replace(facts, attributes=await queues.attributes(queue))
    except QueueCallError as error:
        facts = _failed(facts, FailedCall("sqs:GetQueueAttributes", error))
        if aws_error_kind(error.code) is not AwsErrorKind.DENIED:
            return await _with_caller(facts)
    may_receive = allows_test_receive(facts.attributes or {})
    async with asyncio.TaskGroup() as probes:
        dead_letters = probes.create_task(_dead_letters(queues, facts), name="dead-letter queue")
        failures = probes.create_task(failed_calls(queues, queue, may_receive=may_receive), name="permissions")
    facts = _failed(dead_letters.result(), *failures.result())
    return await _with_caller(msgspec.structs.replace(facts, was_received_from=may_receive))


async def failed_calls(queues: Sqs, queue: str, *, may_receive: bool) -> list[FailedCall]:
    """Try the daemon's calls without a message; those that failed. `may_receive`: try a receive, too."""
    calls = [
        _allowed("sqs:DeleteMessage", lambda: queues.delete(queue, [_NO_HANDLE])),
        _allowed("sqs:ChangeMessageVisibility", lambda: queues.change_visibility(queue, [(_NO_HANDLE, 0)])),
    ]
    if may_receive:
        calls.append(_allowed("sqs:ReceiveMessage", lambda: queues.receive(Lease(queue, 0.0, set()))))
    async with asyncio.TaskGroup() as probes:
        tasks = [probes.create_task(call, name="permission") for call in calls]
    return [failure for task in tasks if (failure := task.result()) is not None]


def dead_letter_url(queue: str, arn: str) -> str:
    """The URL of a dead-letter queue by its ARN: it is in the same region, hence at the same host."""
    _, account, name = arn.rsplit(":", 2)
    parts = urlsplit(queue)
    before = parts.path.rstrip("/").rsplit("/", 2)[0]
    return urlunsplit(parts._replace(path=f"{before}/{account}/{name}"))


async def _allowed(action: str, call: Callable[[], Awaitable[object]]) -> FailedCall | None:
    """Try a call; None if it was allowed, though it found no message.

    Twice where our clock is wrong: from the first answer on calls are signed by the service's.
    """
    try:
        try:
            answer = await call()
        except QueueCallError as error:
            if not aws_error_kind(error.code).suggests_clock_skew:
                raise
            answer = await call()
    except QueueCallError as error:
        return None if aws_error_kind(error.code) in _KINDS_OF_ALLOWED_CALLS else FailedCall(action, error)
    if isinstance(answer, BatchAnswer):
        denied = next((code for _, code in answer.failed if aws_error_kind(code) is AwsErrorKind.DENIED), None)
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
    """Add the caller's identity after a denied call; it needs no permission (STS API reference, GetCallerIdentity)."""
    kinds = {aws_error_kind(each.error.code) for each in facts.failures}
    if not kinds & {AwsErrorKind.DENIED, AwsErrorKind.NO_QUEUE}:
        return facts
    calls = AwsCalls(region_of(facts.queue))
    try:
        answer = await calls.call("sts", "GetCallerIdentity")
    except AwsCallError:
        return facts  # the identity is optional in the finding
    finally:
        await calls.close()
    caller = Caller(str(answer.get("Arn", "")), str(answer.get("Account", "")))
    return msgspec.structs.replace(facts, caller=caller)


def _failed(facts: QueueFacts, *failures: FailedCall) -> QueueFacts:
    return msgspec.structs.replace(facts, failures=(*facts.failures, *failures))
