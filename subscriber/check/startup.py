"""The check of a queue at the daemon's start: it exists, can be read, and its configuration fits.

A configuration that certainly loses or delays messages ends the start; one that may hurt later is a warning. The rules
are those of `check.rules.queue`, so the daemon fails exactly where `subscriber check` reports an error.
"""

from __future__ import annotations

from subscriber.adapters.sqs.client import Sqs
from subscriber.check.rules.call import call_finding
from subscriber.check.rules.queue import queue_findings
from subscriber.errors import QueueCallError, QueueError
from subscriber.observe.log import get_logger

_log = get_logger()


async def probe(queues: Sqs, queue: str, name: str, visibility_seconds: int) -> None:
    """Check one queue and log the warnings under its name.

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
