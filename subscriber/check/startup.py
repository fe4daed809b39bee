"""The checks of queues and database at the daemon's start: they can be used, and their configuration fits.

A configuration that certainly loses or delays messages ends the start; one that may hurt later is a warning. The rules
are those of `check.rules`, so the daemon fails exactly where `subscriber check` reports an error, with its sentence.
"""

from __future__ import annotations

from subscriber.adapters.postgres.connection import CONNECT_SECONDS, StoreOptions
from subscriber.adapters.sqs.client import Sqs
from subscriber.check.probe_database import PROBE_SECONDS, database_problems
from subscriber.check.probe_queue import failed_calls
from subscriber.check.rules.call import call_finding
from subscriber.check.rules.database import failure_finding
from subscriber.check.rules.finding import exit_code_of, worst_first
from subscriber.check.rules.queue import queue_findings
from subscriber.choices import AuthMethod
from subscriber.errors import DatabaseError, ExitCode, QueueCallError, QueueError, SchemaError, StoreError
from subscriber.observe.log import get_logger

_log = get_logger()


async def probe(queues: Sqs, queue: str, name: str, visibility_seconds: int) -> None:
    """Check one queue and the rights to settle its messages, and log the warnings under its name.

    The right to receive is not tried: that would cost a message a receive, and /readyz waits for the first poll.

    Raises:
        QueueError: the queue cannot be read, or its configuration is unusable; the text says what to do.
        QueueCallError: the call failed for a temporary reason.
    """
    try:
        attributes = await queues.attributes(queue)
    except QueueCallError as error:
        if not error.is_permanent:
            raise
        raise QueueError(call_finding(queue, "sqs:GetQueueAttributes", error).sentence) from error
    await _require_calls(queues, queue, attributes.get("KmsMasterKeyId", ""))
    found = queue_findings(queue, attributes, visibility_seconds)
    errors = [finding.sentence for finding in found if finding.severity == "error"]
    if errors:
        raise QueueError("\n".join(errors))
    for finding in found:
        _log.warning("queue.suspicious", queue=name, finding=finding.text)
    _log.info(
        "queue.found",
        queue=name,
        waiting=int(attributes.get("ApproximateNumberOfMessages", 0)),
        in_flight=int(attributes.get("ApproximateNumberOfMessagesNotVisible", 0)),
        visibility_seconds=visibility_seconds,
        queue_visibility_seconds=int(attributes.get("VisibilityTimeout", 30)),
    )


async def _require_calls(queues: Sqs, queue: str, key: str) -> None:
    """Without the right to delete, each message would be received again until it is a dead letter, though stored."""
    failures = await failed_calls(queues, queue, may_receive=False)
    for each in failures:
        if not each.error.is_permanent:
            raise each.error
    if failures:
        sentences = [call_finding(queue, each.action, each.error, key=key).sentence for each in failures]
        raise QueueError("\n".join(sentences))


async def require_database(options: StoreOptions) -> None:
    """Check rights, schema and writes, and log the warnings.

    Raises:
        DatabaseError: the daemon could not write; the text says what to do.
        SchemaError: the schema does not fit this release.
        StoreError: a login or a query failed.
    """
    found = worst_first(await database_problems(options, CONNECT_SECONDS + PROBE_SECONDS))
    errors = "\n".join(finding.sentence for finding in found if finding.severity == "error")
    if errors:
        raise (SchemaError if exit_code_of(found) is ExitCode.SCHEMA else DatabaseError)(errors)
    for finding in found:
        _log.warning("database.suspicious", finding=finding.text)


def explain(error: StoreError, auth: AuthMethod) -> None:
    """Give a failed login the sentence of `subscriber check`."""
    error.args = (failure_finding(error, auth).sentence,)
