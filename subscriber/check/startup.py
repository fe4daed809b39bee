"""The first look at a queue: does it exist, may we read it, and does its configuration fit?

What would lose or delay messages for sure is refused in one sentence; what may hurt later is a warning. The
judgment is `check.queue`'s, so that the daemon refuses what `subscriber check` calls an error.
"""

from __future__ import annotations

from subscriber.adapters.sqs.client import Sqs
from subscriber.check.rules.call import call_finding
from subscriber.check.rules.queue import queue_findings
from subscriber.errors import QueueCallError, QueueError
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import queue_name

_log = get_logger()


async def probe(queues: Sqs, queue: str, visibility_seconds: int) -> None:
    """Look at one queue, log what may hurt.

    Raises:
        QueueError: it cannot be read, or its configuration is refused; the text says what to do.
        QueueCallError: the call failed for a reason that may pass.
    """
    try:
        attributes = await queues.attributes(queue)
    except QueueCallError as error:
        if not error.is_permanent:
            raise
        raise QueueError(call_finding(queue, "sqs:GetQueueAttributes", error).sentence) from error
    found = queue_findings(queue, attributes, visibility_seconds)
    refusals = [finding.sentence for finding in found if finding.severity == "error"]
    if refusals:
        raise QueueError("\n".join(refusals))
    for finding in found:
        _log.warning("queue.suspicious", queue=queue_name(queue), finding=finding.text)
    _log.info(
        "queue.found",
        queue=queue_name(queue),
        waiting=int(attributes.get("ApproximateNumberOfMessages", 0)),
        in_flight=int(attributes.get("ApproximateNumberOfMessagesNotVisible", 0)),
        visibility_seconds=visibility_seconds,
        queue_visibility_seconds=int(attributes.get("VisibilityTimeout", 30)),
    )
